"""Things that come nearly in order, put in order with bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from ingest.replay.arrival import Arrival

T = TypeVar("T")

MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be held: `items`, of `size` bytes together."""

    items: int
    size: int = MOST_BYTES


def in_order(
    items: Iterable[T],
    key: Callable[[T], float],
    size: Callable[[T], int],
    bounds: Bounds,
    floor: Callable[[T], float] | None = None,
) -> Iterator[T]:
    """Yield items by their key, holding no more than `bounds` allow; those of one key as they came.

    `floor` gives the least key that an item and all that follow it may have: what is not above it need not be held. An
    item that comes after more than `bounds` hold of those that should follow it comes out of order, as soon as it can.
    """
    held: list[tuple[float, int, T]] = []
    held_bytes = 0
    for number, item in enumerate(items):
        least = None if floor is None else floor(item)
        heapq.heappush(held, (key(item), number, item))
        held_bytes += size(item)
        while held and (
            len(held) > bounds.items or held_bytes > bounds.size or (least is not None and held[0][0] <= least)
        ):
            _, _, first = heapq.heappop(held)
            held_bytes -= size(first)
            yield first
    while held:
        yield heapq.heappop(held)[2]


def by_arrival(arrivals: Iterable[Arrival], most: int, disordered: Callable[[], None]) -> Iterator[Arrival]:
    """Yield arrivals by their time, where none is more than `most` places away from its own.

    `disordered` is told of each that is, and so follows one that arrived after it.
    """
    latest = float("-inf")
    for arrival in in_order(arrivals, lambda given: given.at, lambda given: given.size, Bounds(most)):
        if arrival.at < latest:
            disordered()
        latest = max(latest, arrival.at)
        yield arrival
