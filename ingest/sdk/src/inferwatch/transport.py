"""How records leave the process: the contract, and a transport that keeps them in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from inferwatch import topics


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """NDJSON for one topic: `value` holds `events` lines."""

    topic: str
    value: bytes
    events: int
    key: bytes | None = None


Report = Callable[[Record, str | None], None]
"""Called with a record and None when it was acknowledged, or the reason why its events are lost."""


class Transport(Protocol):
    """Carries records from the mirror's background thread, the only thread that calls it.

    `send` may raise `BufferError` when it holds all it may: the caller keeps the record and tries again after `poll`.
    Nothing else may raise. Each record that `send` took is reported exactly once, whole or in parts that have its topic
    and whose events add up to its own.
    """

    def send(self, record: Record) -> None:
        """Take a record, without waiting."""
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
        self.sent: list[Record] = []
        self._report = report

    @property
    def records(self) -> list[bytes]:
        """What was sent of inferences."""
        return self.values(topics.INFERENCES)

    def values(self, topic: str) -> list[bytes]:
        """Return what was sent to one topic."""
        return [record.value for record in self.sent if record.topic == topic]

    def send(self, record: Record) -> None:
        """Keep the record."""
        self.sent.append(record)
        self._report(record, None)

    def poll(self, timeout: float) -> None:
        """Do nothing: every record was reported when it came."""

    def close(self, timeout: float) -> None:
        """Do nothing: every record was reported when it came."""
