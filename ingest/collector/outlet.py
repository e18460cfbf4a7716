"""How records leave: the contract, and an outlet that keeps them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from inferwatch.transport import Record


class Delivery:
    """What becomes of the records of one request. `failed` are those that Kafka did not acknowledge, and why.

    Belongs to the event loop. `settled` is called, once for each `begin`, when nothing waits any more.
    """

    def __init__(self, settled: Callable[[], None] = lambda: None) -> None:
        self.failed: list[Record] = []
        self.reason = ""
        self.size = 0
        self._waiting = 0
        self._settled = settled
        self._done = asyncio.Event()
        self._done.set()

    @property
    def pending(self) -> bool:
        """Whether some records are neither acknowledged nor failed."""
        return self._waiting > 0

    def begin(self, records: Sequence[Record]) -> None:
        """Wait for records; `size` is how many bytes they have."""
        self._waiting = len(records)
        self.size = size_of(records)
        if records:
            self._done.clear()
        else:
            self._settled()

    def acknowledged(self) -> None:
        """See a record acknowledged."""
        self._settle()

    def fail(self, record: Record, reason: str) -> None:
        """See a record fail."""
        self.failed.append(record)
        self.reason = reason
        self._settle()

    async def wait(self) -> None:
        """Wait until nothing waits any more."""
        # Others may run between the last settling and this waking up, and send again what failed.
        while self.pending:
            await self._done.wait()

    def _settle(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._done.set()
            self._settled()


def size_of(records: Sequence[Record]) -> int:
    """Return how many bytes records have."""
    return sum(len(record.value) for record in records)


class Outlet(Protocol):
    """Carries records away. `send` never waits and never raises: each record is acknowledged or fails, later."""

    def send(self, records: Sequence[Record], delivery: Delivery) -> None:
        """Take records; they keep their order within a key."""
        ...

    async def close(self, seconds: float) -> None:
        """Wait at most that long for what is under way, then let the rest fail."""
        ...


class MemoryOutlet:
    """Keeps records in a list and acknowledges each at once; while `broken` is set, lets each fail for that reason."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.broken = ""

    def send(self, records: Sequence[Record], delivery: Delivery) -> None:
        """Keep the records."""
        delivery.begin(records)
        for record in records:
            if self.broken:
                delivery.fail(record, self.broken)
            else:
                self.records.append(record)
                delivery.acknowledged()

    async def close(self, seconds: float) -> None:
        """Nothing is under way."""
