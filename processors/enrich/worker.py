"""The enrich step: the pure pipeline with its reading and writing around it.

Order of durability, for each batch:

1. Ask the store how far each partition got, once after every assignment; skip what is there.
2. Send measurements and dead letters; wait for Kafka.
3. Insert rows, atomically; wait for the store. Where its answer is lost, ask it before trying again.
4. Return True: the records may be acknowledged.

Killed between 2 and 3, the same measurements go out again; they carry the position of their event, and whoever
watches them drops what it has seen. Killed between 3 and 4, step 1 skips the rows. Dead letters may repeat; their
headers say where they stood, which tells a repetition apart.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters import dead_letter
from processors.enrich.decode import MOST_EVENTS, DeadLetter, SourceRecord
from processors.enrich.embed import EmbeddingSampler
from processors.enrich.enriched import Enriched
from processors.enrich.pipeline import Batch, Pipeline
from processors.enrich.rows import columns_of
from processors.errors import TooMuchPoison
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import Measurement, encode_records
from processors.retry import until_it_works
from processors.settings import EnrichSettings
from processors.step import Record
from storage.sink import Sink

_REMEMBERED: Final = 1_000
_FEWEST: Final = 200
_MEASUREMENT_BYTES: Final = 768  # without its names, of which a character takes up to 6: "\u0001"
_RECORD_BYTES: Final = 4 << 20


class EnrichStep:
    """Turns records of the inferences topic into rows and measurements, each event once."""

    def __init__(
        self,
        settings: EnrichSettings,
        pipeline: Pipeline,
        sink: Sink,
        producer: RecordProducer,
        sampler: EmbeddingSampler | None,
        topic_id: str,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._sink = sink
        self._producer = producer
        self._sampler = sampler
        self._topic_id = topic_id
        self._clock = clock
        self._stored: dict[int, int] | None = None
        self._outcomes: deque[bool] = deque(maxlen=_REMEMBERED)

    async def process(self, records: Sequence[Record]) -> bool:
        """Process a batch; always durable when it returns."""
        stored = await self._stored_positions()
        fresh = [
            SourceRecord(record.partition, record.offset, record.value)
            for record in records
            if record.offset > stored.get(record.partition, -1)
        ]
        for part in atomic_parts(fresh):
            await self._process_part(part)
            stored.update({record.partition: record.offset for record in part})
        return True

    async def tick(self) -> bool:
        """Nothing to do between batches, and nothing ever waits for durability."""
        return True

    def interrupt(self) -> None:
        """Whoever takes over would wait for the same."""

    async def release(self) -> None:
        """Forget how far the store is: someone else may write next."""
        self._stored = None
        if self._sampler is not None:
            self._sampler.forget()

    async def _stored_positions(self) -> dict[int, int]:
        if self._stored is None:
            self._stored = await until_it_works(
                "Reading how far the store is", lambda: asyncio.to_thread(self._sink.positions, self._topic_id)
            )
        return self._stored

    async def _process_part(self, records: Sequence[SourceRecord]) -> None:
        batch = await asyncio.to_thread(self._pipeline.enrich, records, self._clock.now())
        self._check_poison(batch)
        for wave in (
            *measurement_waves(batch.items, self._topic_id),
            [dead_letter_record(letter) for letter in batch.dead],
        ):
            await until_it_works("Sending measurements", functools.partial(self._producer.send, wave))
        if batch.items:
            await self._write(batch.items)
        if self._sampler is not None:
            self._sampler.offer(batch.items)

    async def _write(self, items: Sequence[Enriched]) -> None:
        columns = columns_of(items, self._topic_id, self._clock.now())
        first = items[0].position
        tries = itertools.count()

        def write() -> None:
            if next(tries) and self._sink.positions(self._topic_id).get(first.partition, -1) >= first.offset:
                return
            self._sink.write("inferences", columns)

        await until_it_works("Writing inferences", lambda: asyncio.to_thread(write))

    def _check_poison(self, batch: Batch) -> None:
        outcomes = [(item.position, True) for item in batch.items] + [(letter.position, False) for letter in batch.dead]
        self._outcomes.extend(good for _, good in sorted(outcomes))
        invalid = self._outcomes.count(False)
        if len(self._outcomes) >= _FEWEST and invalid > self._settings.poison_limit * len(self._outcomes):
            share = invalid / len(self._outcomes)
            reason = batch.dead[-1].reason if batch.dead else "unknown"
            raise TooMuchPoison(share, len(self._outcomes), self._settings.poison_limit, reason)


def atomic_parts(records: Sequence[SourceRecord]) -> list[list[SourceRecord]]:
    """Split records, in order, so that each part is at most `MOST_EVENTS` events or one record."""
    parts: list[list[SourceRecord]] = []
    events = 0
    for record in records:
        lines = (record.value or b"").count(b"\n") + 1
        if not parts or events + lines > MOST_EVENTS:
            parts.append([])
            events = 0
        parts[-1].append(record)
        events += lines
    return parts


def measurement_waves(items: Sequence[Enriched], topic_id: str) -> list[list[OutgoingRecord]]:
    """Return the measurements of a batch, in order, as records of one model each that Kafka's limit leaves room for.

    A wave holds at most one record of a model. One is acknowledged before the next is sent: of two under way the second
    may arrive although the first did not, and whoever watches would drop the first when it comes again.
    """
    parts: dict[tuple[str, str], list[list[Measurement]]] = {}
    room: dict[tuple[str, str], int] = {}
    for item in items:
        measurement = item.measurement(topic_id)
        of = (measurement.environment, measurement.model)
        size = _MEASUREMENT_BYTES + 6 * len("".join((*of, measurement.model_version, measurement.team)))
        if room.get(of, 0) < size:
            parts.setdefault(of, []).append([])
            room[of] = _RECORD_BYTES
        room[of] -= size
        parts[of][-1].append(measurement)
    return [
        [OutgoingRecord(topics.MEASUREMENTS, encode_records(part), part[0].key) for part in wave if part]
        for wave in itertools.zip_longest(*parts.values())
    ]


def dead_letter_record(letter: DeadLetter) -> OutgoingRecord:
    """Return a dead letter of this step as a Kafka record."""
    at = letter.position
    return dead_letter(letter.value, letter.reason, topics.INFERENCES, at.partition, at.offset, at.index)
