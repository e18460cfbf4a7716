"""A step that stores what a topic holds, each event as one row, by the same means as inferences (see
`processors.enrich.worker`).

1. Ask the store how far each partition got in each table, once after every assignment; skip what is there.
2. Send dead letters; wait for Kafka.
3. Append rows, each block naming the position that it follows; wait for the store.
4. Return True: the records may be acknowledged.

Where a topic feeds several tables, a record whose rows reached one of them and not another comes again, and each table
takes what it lacks. Dead letters of such a record are out: they go before the first row.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Protocol, TypeVar

from inferwatch.clock import Clock
from processors.dead_letters import dead_letter
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.parts import CHUNK_BYTES, chunks
from processors.errors import Interrupted
from processors.interruption import Interruption
from processors.producer import RecordProducer
from processors.records import Position
from processors.retry import until_it_works
from processors.step import Record
from storage.sink import Block, Columns, Sink, Table

BLOCK_ROWS: Final = 10_000

G = TypeVar("G", bound=tuple[Position, Any])


class Contents(Protocol):
    """What a topic holds, and how it becomes rows. Pure; called off the event loop, one call at a time."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    @property
    def tables(self) -> Sequence[Table]:
        """The tables that it feeds."""
        ...

    def read(
        self, records: Iterable[SourceRecord], now: float
    ) -> tuple[Mapping[Table, list[tuple[Position, Any]]], list[DeadLetter]]:
        """Return events by table, in the order of their records, with where they stood; and what is none."""
        ...

    def rows_of(self, table: Table, given: Sequence[tuple[Position, Any]]) -> Columns:
        """Return the columns of a table but for those that the sink adds; a row an event."""
        ...


class StoredStep:
    """Turns records of one topic into rows, each event once."""

    def __init__(self, contents: Contents, sink: Sink, producer: RecordProducer, topic_id: str, clock: Clock) -> None:
        self._contents = contents
        self._sink = sink
        self._producer = producer
        self._topic_id = topic_id
        self._clock = clock
        self._stored: dict[Table, dict[int, int]] | None = None
        self._interrupted = Interruption()

    async def process(self, records: Sequence[Record]) -> bool:
        """Process a batch; durable when it returns True."""
        try:
            await self._process(records)
        except Interrupted:
            return False
        return True

    async def tick(self) -> bool:
        """Nothing to do between batches, and nothing waits for durability unless it was given up."""
        return not self._interrupted.is_set()

    def interrupt(self) -> None:
        """Stop waiting for the store soon: whoever takes over reads there how far it is."""
        self._interrupted.begin()

    async def release(self) -> None:
        """Forget how far the store is: someone else may write next."""
        self._interrupted.end()
        self._stored = None

    async def _process(self, records: Sequence[Record]) -> None:
        if self._interrupted.is_set():
            raise Interrupted("Processing a batch")
        if self._stored is None:
            self._stored = {table: await self._positions(table) for table in self._contents.tables}
        stored = self._stored
        fresh = {
            (record.partition, record.offset): SourceRecord(record.partition, record.offset, record.value)
            for record in records
            if record.offset > min(of_table.get(record.partition, -1) for of_table in stored.values())
        }
        for chunk in chunks(fresh.values(), CHUNK_BYTES):
            await self._process_part(chunk, stored)

    async def _positions(self, table: Table) -> dict[int, int]:
        positions = functools.partial(asyncio.to_thread, self._sink.positions, table, self._topic_id)
        return await until_it_works("Reading how far the store is", positions, self._interrupted.sign)

    async def _process_part(self, records: Sequence[SourceRecord], stored: dict[Table, dict[int, int]]) -> None:
        good, dead = await asyncio.to_thread(self._contents.read, records, self._clock.now())
        letters = [
            dead_letter(letter.value, letter.reason, self._contents.topic, at.partition, at.offset, at.index,
                        topic_id=self._topic_id)
            for letter in dead
            for at in (letter.position,)
            if at.offset > max(of_table.get(at.partition, -1) for of_table in stored.values())
        ]  # fmt: skip
        await until_it_works("Sending dead letters", lambda: self._producer.send(letters), self._interrupted.sign)
        for table, events in good.items():
            for partition, given in groupby(events, key=lambda one: one[0].partition):
                for block in blocks(list(given)):
                    await self._append(table, partition, stored[table], block)

    async def _append(
        self, table: Table, partition: int, stored: dict[int, int], given: Sequence[tuple[Position, Any]]
    ) -> None:
        rows = await asyncio.to_thread(self._contents.rows_of, table, given)
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        after = stored.get(partition, -1)
        # Where another worker wrote meanwhile, the store may be further than these rows begin.
        block = Block(self._topic_id, partition, after, now, rows).behind(after)
        append = functools.partial(asyncio.to_thread, self._sink.append, table, block)
        stored[partition] = (await until_it_works(f"Writing {table}", append, self._interrupted.sign)).position


def blocks(given: Sequence[G]) -> list[list[G]]:
    """Split what one partition gave into blocks of whole records."""
    made: list[list[G]] = [[]]
    for _, record in groupby(given, key=lambda one: one[0].offset):
        rows = list(record)
        if made[-1] and len(made[-1]) + len(rows) > BLOCK_ROWS:
            made.append([])
        made[-1] += rows
    return made
