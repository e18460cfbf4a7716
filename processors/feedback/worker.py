"""The feedback step: each rating once, by the same means as inferences (see `processors.enrich.worker`).

1. Ask the store how far each partition got, once after every assignment; skip what is there.
2. Send dead letters; wait for Kafka.
3. Append rows, each block naming the position that it follows; wait for the store.
4. Return True: the records may be acknowledged.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from detectors.protocols import PiiScanner
from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters import dead_letter
from processors.enrich.decode import SourceRecord
from processors.enrich.parts import CHUNK_BYTES, chunks
from processors.enrich.worker import PATIENCE
from processors.errors import Interrupted
from processors.feedback.rows import Given, read, rows_of
from processors.producer import RecordProducer
from processors.retry import until_it_works
from processors.settings import EnrichSettings
from processors.step import Record
from storage.sink import Block, Sink

BLOCK_ROWS: Final = 10_000


class FeedbackStep:
    """Turns records of the feedback topic into rows, each once."""

    def __init__(
        self,
        settings: EnrichSettings,
        scanner: PiiScanner,
        sink: Sink,
        producer: RecordProducer,
        topic_id: str,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._scanner = scanner
        self._sink = sink
        self._producer = producer
        self._topic_id = topic_id
        self._clock = clock
        self._stored: dict[int, int] | None = None
        self._interrupted = asyncio.Event()
        self._ending: asyncio.TimerHandle | None = None

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
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(PATIENCE, self._interrupted.set)

    async def release(self) -> None:
        """Forget how far the store is: someone else may write next."""
        if self._ending is not None:
            self._ending.cancel()
        self._interrupted.clear()
        self._stored = None

    async def _process(self, records: Sequence[Record]) -> None:
        if self._interrupted.is_set():
            raise Interrupted("Processing a batch")
        if self._stored is None:
            positions = functools.partial(asyncio.to_thread, self._sink.positions, "feedback", self._topic_id)
            self._stored = await until_it_works("Reading how far the store is", positions, self._interrupted)
        stored = self._stored
        fresh = {
            (record.partition, record.offset): SourceRecord(record.partition, record.offset, record.value)
            for record in records
            if record.offset > stored.get(record.partition, -1)
        }
        for chunk in chunks(fresh.values(), CHUNK_BYTES):
            await self._process_part(chunk, stored)

    async def _process_part(self, records: Sequence[SourceRecord], stored: dict[int, int]) -> None:
        bounds = (self._clock.now(), self._settings.past_days, self._settings.future_seconds)
        good, dead = await asyncio.to_thread(read, records, *bounds)
        letters = [
            dead_letter(letter.value, letter.reason, topics.FEEDBACK, at.partition, at.offset, at.index,
                        topic_id=self._topic_id)
            for letter in dead
            for at in (letter.position,)
        ]  # fmt: skip
        await until_it_works("Sending dead letters", lambda: self._producer.send(letters), self._interrupted)
        for partition, given in groupby(good, key=lambda one: one[0].partition):
            for block in blocks(list(given)):
                stored[partition] = await self._append(partition, stored.get(partition, -1), block)

    async def _append(self, partition: int, after: int, given: Sequence[Given]) -> int:
        rows = await asyncio.to_thread(rows_of, given, self._scanner, self._settings.user_hash_secret.encode())
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        # Where another worker wrote meanwhile, the store may be further than these rows begin.
        block = Block(self._topic_id, partition, after, now, rows).behind(after)
        append = functools.partial(asyncio.to_thread, self._sink.append, "feedback", block)
        return (await until_it_works("Writing feedback", append, self._interrupted)).position


def blocks(given: Sequence[Given]) -> list[list[Given]]:
    """Split what one partition gave into blocks of whole records."""
    made: list[list[Given]] = [[]]
    for _, record in groupby(given, key=lambda one: one[0].offset):
        rows = list(record)
        if made[-1] and len(made[-1]) + len(rows) > BLOCK_ROWS:
            made.append([])
        made[-1] += rows
    return made
