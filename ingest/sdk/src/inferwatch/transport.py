"""How records leave the process: the contract, and a transport that keeps them in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Report = Callable[[int, str | None], None]
"""Called with a number of events and None when they were acknowledged, or the reason why they are lost."""


class Transport(Protocol):
    """Carries records from the mirror's background thread, the only thread that calls it.

    `send` may raise `BufferError` when it holds all it may: the caller keeps the record and tries again after `poll`.
    Nothing else may raise. Each record that `send` took is reported exactly once.
    """

    def send(self, record: bytes, events: int) -> None:
        """Take a record holding that many events, without waiting."""
        ...

    def poll(self, timeout: float) -> None:
        """Report what was acknowledged or lost; wait at most `timeout` seconds for it."""
        ...

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for acknowledgements, report the rest as lost."""
        ...


class MemoryTransport:
    """Keeps records in a list and acknowledges each at once."""

    def __init__(self, report: Report) -> None:
        self.records: list[bytes] = []
        self._report = report

    def send(self, record: bytes, events: int) -> None:
        """Keep the record."""
        self.records.append(record)
        self._report(events, None)

    def poll(self, timeout: float) -> None:
        """Do nothing: every record was reported when it came."""

    def close(self, timeout: float) -> None:
        """Do nothing: every record was reported when it came."""
