"""When each arrival is due: its place in the trace, divided by the speed. Pure: knows no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ingest.replay.arrival import Arrival
from ingest.replay.order import Bounds, in_order

_MOST_IN_FLIGHT: Final = Bounds(100_000)


@dataclass(frozen=True, slots=True)
class Due:
    """An arrival and its times, in seconds from the first arrival of the replay.

    Attributes:
        arrival: what arrives.
        offset: when it arrived in the trace, in seconds of the trace.
        begins: when it arrives in the replay; None where it is as fast as possible.
        sends: when it is to be sent; None likewise.
        duration: seconds that it takes; 0 where the target itself takes the time.
    """

    arrival: Arrival
    offset: float
    begins: float | None
    sends: float | None
    duration: float = 0.0


def when_they_arrive(arrivals: Iterable[Arrival], speed: float | None) -> Iterator[Due]:
    """Yield each arrival, to be sent when it arrives. A `speed` of None is as fast as possible."""
    first: float | None = None
    for arrival in arrivals:
        first = arrival.at if first is None else first
        offset = arrival.at - first
        begins = None if speed is None else offset / speed
        yield Due(arrival, offset, begins, begins)


def when_they_end(
    arrivals: Iterable[Arrival],
    speed: float | None,
    duration: Callable[[Arrival], float],
    in_flight: Bounds = _MOST_IN_FLIGHT,
) -> Iterator[Due]:
    """Yield each arrival, to be sent when it has ended, in that order.

    Speed brings arrivals nearer to each other and leaves durations as they are. What has begun and not ended is held;
    beyond `in_flight` what ends first is yielded at once, and something that ends before it may follow.
    """
    dues = (_ended(due, duration(due.arrival)) for due in when_they_arrive(arrivals, speed))
    if speed is None:
        return dues
    return in_order(dues, _sends, lambda due: due.arrival.size, in_flight, floor=_begins)


def _ended(due: Due, duration: float) -> Due:
    sends = None if due.begins is None else due.begins + duration
    return Due(due.arrival, due.offset, due.begins, sends, duration)


def _sends(due: Due) -> float:
    return due.sends or 0.0


def _begins(due: Due) -> float:
    return due.begins or 0.0
