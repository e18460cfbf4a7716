"""What the worker asks of a processing step. Steps know nothing of Faust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """A consumed Kafka record."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes | None


class Step(Protocol):
    """Processes the records of some topics, batch by batch, in the order of each partition.

    The worker calls one method at a time. `process` may wait for as long as the store or Kafka is away: that is
    back-pressure. It returns whether everything it was ever given is durable, but for records that it said to be in
    flight, see `consume.attach`; only then are records acknowledged, so after a crash the others come again. What it
    raises is fatal: the worker stops.
    """

    async def process(self, records: Sequence[Record]) -> bool:
        """Process a batch; return whether all records so far may be acknowledged."""
        ...

    async def tick(self) -> bool:
        """Called about once a second, also when nothing arrives; returns what `process` returns."""
        ...

    def interrupt(self) -> None:
        """Give up waiting on others soon: `release` follows, and a rebalance of the whole worker waits for it.

        Called from outside, also while another method waits. From then on until `release` a step that gave something
        up returns False: neither the record that it gave up nor any behind it may be acknowledged or saved as
        processed. They come again.
        """
        ...

    async def release(self) -> None:
        """Partitions are taken away, or the worker stops: make durable what can be, then forget all state.

        Partitions that come back are read from where they were acknowledged.
        """
        ...
