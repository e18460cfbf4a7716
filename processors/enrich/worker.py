"""The enrich step: the pure pipeline with its reading and writing around it.

Order of durability, for each batch:

1. Ask the store how far each partition got, once after every assignment; skip what is there.
2. Send measurements and dead letters; wait for Kafka.
3. Append rows, atomically by partition, each block naming the position that it follows: of two that follow the same
   one, the store takes one. Wait for the store, and read back how far it is.
4. Return True: the records may be acknowledged.

Killed between 2 and 3, the same measurements go out again; they carry the position of their event, and whoever
watches them drops what it has seen. Killed between 3 and 4, step 1 skips the rows. A worker that is stuck in 3 while
another takes its partitions over adds nothing when it wakes up: its blocks follow a position that is taken. Dead
letters may repeat; their headers say where they stood, which tells a repetition apart.

While one part of a batch is in 2 and 3, the next one goes through the pipeline.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters import dead_letter
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.embed import EmbeddingSampler
from processors.enrich.enriched import Batch
from processors.enrich.measurements import measurements_of, waves
from processors.enrich.pipeline import Pipeline
from processors.enrich.rollup import Roller
from processors.enrich.rows import rows_of
from processors.errors import Interrupted, TooMuchPoison
from processors.producer import OutgoingRecord, RecordProducer
from processors.retry import until_it_works
from processors.settings import EnrichSettings
from processors.step import Record
from storage.sink import Block, Columns, Sink

PATIENCE: Final = 1.0
"""Seconds that a batch in progress has when partitions are taken away; a store that answers needs less."""
_REMEMBERED: Final = 1_000
_FEWEST: Final = 200
PART_EVENTS: Final = 20_000
PART_BYTES: Final = 32 << 20
"""What goes through the pipeline at once, unless a single record is larger."""


class EnrichStep:
    """Turns records of the inferences topic into rows and measurements, each event once."""

    def __init__(
        self,
        settings: EnrichSettings,
        pipeline: Pipeline,
        sink: Sink,
        producer: RecordProducer,
        sampler: EmbeddingSampler | None,
        roller: Roller | None,
        topic_id: str,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._sink = sink
        self._producer = producer
        self._sampler = sampler
        self._roller = roller
        self._topic_id = topic_id
        self._clock = clock
        self._stored: dict[int, int] | None = None
        self._outcomes: deque[bool] = deque(maxlen=_REMEMBERED)
        self._interrupted = asyncio.Event()
        self._ending: asyncio.TimerHandle | None = None

    async def process(self, records: Sequence[Record]) -> bool:
        """Process a batch; durable when it returns True. Interrupted, it gives up: what it was given comes again."""
        try:
            return await self._process(records)
        except Interrupted:
            return False

    async def tick(self) -> bool:
        """Let rollups follow; nothing ever waits for durability."""
        if self._roller is not None:
            self._roller.go_on()
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
        if self._sampler is not None:
            self._sampler.forget()

    async def _process(self, records: Sequence[Record]) -> bool:
        if self._interrupted.is_set():
            raise Interrupted("Processing a batch")
        stored = await self._stored_positions()
        fresh = {
            (record.partition, record.offset): SourceRecord(record.partition, record.offset, record.value)
            for record in records
            if record.offset > stored.get(record.partition, -1)
        }
        storing: asyncio.Task[None] | None = None
        try:
            for part in parts(fresh.values()):
                if self._interrupted.is_set():
                    raise Interrupted("Processing a batch")
                batch = await asyncio.to_thread(self._pipeline.enrich, part, self._clock.now())
                self._check_poison(batch)
                if storing is not None:
                    await storing
                storing = asyncio.create_task(self._store(batch, stored))
        finally:
            if storing is not None:
                await storing
        return True

    async def _stored_positions(self) -> dict[int, int]:
        if self._stored is None:
            self._stored = await until_it_works(
                "Reading how far the store is",
                lambda: asyncio.to_thread(self._sink.positions, "inferences", self._topic_id),
                self._interrupted,
            )
        return self._stored

    async def _store(self, batch: Batch, stored: dict[int, int]) -> None:
        outgoing = await asyncio.to_thread(lambda: waves(measurements_of(batch, self._topic_id)))
        for wave in (*outgoing, [dead_letter_record(letter, self._topic_id) for letter in batch.dead]):
            send = functools.partial(self._producer.send, wave)
            await until_it_works("Sending measurements", send, self._interrupted)
        if batch.size:
            rows = await asyncio.to_thread(rows_of, batch)
            for partition, block in by_partition(batch, rows):
                stored[partition] = await self._append(partition, stored.get(partition, -1), block)
        if self._sampler is not None:
            self._sampler.offer(batch)

    async def _append(self, partition: int, after: int, rows: Columns) -> int:
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        # Where another worker wrote meanwhile, the store may be further than these rows begin.
        block = Block(self._topic_id, partition, after, now, rows).behind(after)
        append = functools.partial(asyncio.to_thread, self._sink.append, "inferences", block)
        return (await until_it_works("Writing inferences", append, self._interrupted)).position

    def _check_poison(self, batch: Batch) -> None:
        # By the record: one of a thousand broken lines says no more about what is upstream than one of a single line.
        records = batch.decoded.records
        good = np.bincount(batch.decoded.record_of, minlength=len(records)).tolist()
        dead = Counter((letter.position.partition, letter.position.offset) for letter in batch.dead)
        for record, fine in zip(records, good, strict=True):
            self._outcomes.append(fine >= dead[record.partition, record.offset])
        invalid = self._outcomes.count(False)
        if len(self._outcomes) >= _FEWEST and invalid > self._settings.poison_limit * len(self._outcomes):
            share = invalid / len(self._outcomes)
            reason = batch.dead[-1].reason if batch.dead else "unknown"
            raise TooMuchPoison(share, len(self._outcomes), self._settings.poison_limit, reason)


def parts(records: Iterable[SourceRecord]) -> Iterator[list[SourceRecord]]:
    """Yield records, each partition's together and in order, a part at a time."""
    part: list[SourceRecord] = []
    events = size = 0
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        value = record.value or b""
        lines = value.count(b"\n") + 1
        if part and (events + lines > PART_EVENTS or size + len(value) > PART_BYTES):
            yield part
            part, events, size = [], 0, 0
        part.append(record)
        events += lines
        size += len(value)
    if part:
        yield part


def by_partition(batch: Batch, rows: Mapping[str, pa.Array]) -> Iterator[tuple[int, Columns]]:
    """Yield the rows of each partition; they stand together."""
    partitions = batch.partitions
    starts = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(partitions)]
    for start, end in itertools.pairwise(starts):
        yield int(partitions[start]), {name: values[start:end] for name, values in rows.items()}


def dead_letter_record(letter: DeadLetter, topic_id: str) -> OutgoingRecord:
    """Return a dead letter of this step as a Kafka record."""
    at = letter.position
    return dead_letter(
        letter.value, letter.reason, topics.INFERENCES, at.partition, at.offset, at.index, topic_id=topic_id
    )
