"""The part of a trace that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest.replay.arrival import Arrival


@dataclass(frozen=True, slots=True)
class Window:
    """Arrivals from `begin` to before `end`, in seconds from the first of the trace; of these the first `limit`."""

    begin: float = 0.0
    end: float | None = None
    limit: int | None = None


def within(arrivals: Iterable[Arrival], window: Window) -> Iterator[Arrival]:
    """Yield the arrivals of a window. Reads no further than it must."""
    first: float | None = None
    taken = 0
    for arrival in arrivals:
        first = arrival.at if first is None else first
        offset = arrival.at - first
        if window.end is not None and offset >= window.end:
            return
        # What came too late to be put in order may lie before the first.
        if offset >= window.begin or window.begin == 0:
            yield arrival
            taken += 1
            if taken == window.limit:
                return
