"""The enrich step: the pure pipeline with its reading and writing around it.

Order of durability, for each batch:

1. Ask the store how far each partition got, once after every assignment; skip what is there.
2. Send measurements and dead letters; wait for Kafka.
3. Append rows, atomically by partition, each block naming the position that it follows: of two that follow the same
   one, the store takes one. Wait for the store, and read back how far it is.
4. The records may be acknowledged.

Killed between 2 and 3, the same measurements go out again; they carry the position of their event, and whoever
watches them drops what it has seen. Killed between 3 and 4, step 1 skips the rows. A worker that is stuck in 3 while
another takes its partitions over adds nothing when it wakes up: its blocks follow a position that is taken. Dead
letters may repeat; their headers say where they stood, which tells a repetition apart.

While one part is in 2 and 3 the next one goes through the pipeline, also when that is of the next batch: what is under
way when `process` returns is told by `in_flight`, and may not be acknowledged yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
from collections import deque
from collections.abc import Sequence
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters import dead_letter
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.embed import EmbeddingSampler
from processors.enrich.parts import Part, parts
from processors.enrich.pipeline import Pipeline
from processors.enrich.rollup import Roller
from processors.errors import Interrupted, TooMuchPoison
from processors.interruption import Interruption
from processors.producer import OutgoingRecord, RecordProducer
from processors.retry import until_it_works
from processors.settings import EnrichSettings
from processors.step import Record
from storage.sink import Block, Columns, Sink

_REMEMBERED: Final = 1_000
_FEWEST: Final = 200


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
        self._storing: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._interrupted = Interruption()

    async def process(self, records: Sequence[Record]) -> bool:
        """Process a batch, but for its last part. Interrupted, it gives up: what it was given comes again."""
        try:
            await self._process(records)
        except Interrupted:
            return False
        except BaseException:
            with contextlib.suppress(Interrupted):
                await self._settle()
            raise
        return True

    def in_flight(self) -> int:
        """Return how many of the last records given are not known to be durable yet."""
        return self._in_flight

    async def settle(self) -> bool:
        """Wait until everything given is durable; return whether it is."""
        try:
            await self._settle()
        except Interrupted:
            return False
        return not self._interrupted.is_set()

    async def tick(self) -> bool:
        """See what became of the last part; let rollups follow."""
        if self._roller is not None:
            self._roller.go_on()
        if self._storing is not None and not self._storing.done():
            return not self._interrupted.is_set()
        return await self.settle()

    def interrupt(self) -> None:
        """Stop waiting for the store soon: whoever takes over reads there how far it is."""
        self._interrupted.begin()

    async def release(self) -> None:
        """Let the last part end; forget how far the store is: someone else may write next."""
        await self.settle()
        self._interrupted.end()
        self._stored, self._in_flight = None, 0
        if self._sampler is not None:
            self._sampler.forget()

    async def _process(self, records: Sequence[Record]) -> None:
        if self._interrupted.is_set():
            raise Interrupted("Processing a batch")
        stored = await self._stored_positions()
        fresh = {
            (record.partition, record.offset): SourceRecord(record.partition, record.offset, record.value)
            for record in records
            if record.offset > stored.get(record.partition, -1)
        }
        enrich = functools.partial(self._pipeline.enrich, now=self._clock.now())
        coming = parts(fresh.values(), enrich, self._topic_id, keep_batches=self._sampler is not None)
        self._in_flight += len(records)
        while True:
            if self._interrupted.is_set():
                raise Interrupted("Processing a batch")
            part = await asyncio.to_thread(next, coming, None)
            if part is None:
                break
            self._check_poison(part)
            await self._settle(len(records))
            self._storing = asyncio.create_task(self._store(part, stored))
        if self._storing is None:
            self._in_flight = 0

    async def _settle(self, in_flight: int = 0) -> None:
        """Wait until what is under way is stored; then only the last `in_flight` records may be missing."""
        if self._storing is not None:
            storing, self._storing = self._storing, None
            await storing
        self._in_flight = in_flight

    async def _stored_positions(self) -> dict[int, int]:
        if self._stored is None:
            self._stored = await until_it_works(
                "Reading how far the store is",
                lambda: asyncio.to_thread(self._sink.positions, "inferences", self._topic_id),
                self._interrupted.sign,
            )
        return self._stored

    async def _store(self, part: Part, stored: dict[int, int]) -> None:
        dead = [dead_letter_record(letter, self._topic_id) for letter in part.dead]
        for wave in (*part.measurements, dead):
            send = functools.partial(self._producer.send, wave)
            await until_it_works("Sending measurements", send, self._interrupted.sign)
        for partition, rows in part.rows:
            stored[partition] = await self._append(partition, stored.get(partition, -1), rows)
        if self._sampler is not None:
            for batch in part.batches:
                self._sampler.offer(batch)

    async def _append(self, partition: int, after: int, rows: Columns) -> int:
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        # Where another worker wrote meanwhile, the store may be further than these rows begin.
        block = Block(self._topic_id, partition, after, now, rows).behind(after)
        append = functools.partial(asyncio.to_thread, self._sink.append, "inferences", block)
        return (await until_it_works("Writing inferences", append, self._interrupted.sign)).position

    def _check_poison(self, part: Part) -> None:
        # By the record: one of a thousand broken lines says no more about what is upstream than one of a single line.
        for fine in part.fine:
            self._outcomes.append(fine)
        invalid = self._outcomes.count(False)
        if len(self._outcomes) >= _FEWEST and invalid > self._settings.poison_limit * len(self._outcomes):
            share = invalid / len(self._outcomes)
            reason = part.dead[-1].reason if part.dead else "unknown"
            raise TooMuchPoison(share, len(self._outcomes), self._settings.poison_limit, reason)


def dead_letter_record(letter: DeadLetter, topic_id: str) -> OutgoingRecord:
    """Return a dead letter of this step as a Kafka record."""
    at = letter.position
    return dead_letter(
        letter.value, letter.reason, topics.INFERENCES, at.partition, at.offset, at.index, topic_id=topic_id
    )
