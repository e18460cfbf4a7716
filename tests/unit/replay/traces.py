"""Arrivals for tests, and a target that remembers."""

from __future__ import annotations

from typing import Any

from ingest.replay.arrival import Arrival
from ingest.replay.schedule import Due
from ingest.replay.target import Start


def arrival(at: float, line: int = 1, **fields: Any) -> Arrival:
    """Return an arrival of a trace."""
    given: dict[str, Any] = {"size": 10, "place": 10 * line, "input_tokens": 100, "output_tokens": 11, **fields}
    return Arrival(at, line, **given)


def arrivals(*times: float) -> list[Arrival]:
    """Return arrivals at these times, on lines counted from 1."""
    return [arrival(at, line) for line, at in enumerate(times, 1)]


class Remembered:
    """A target that takes everything at once, and remembers what; `flushed_after` so much it was last flushed."""

    def __init__(self) -> None:
        self.sent: list[tuple[Due, Start]] = []
        self.flushed = 0
        self.flushed_after = 0
        self.closed = False

    async def send(self, due: Due, start: Start) -> None:
        self.sent.append((due, start))

    async def flush(self) -> None:
        self.flushed += 1
        self.flushed_after = len(self.sent)

    async def answered(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True
