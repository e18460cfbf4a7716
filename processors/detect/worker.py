"""The detect step: every model's detectors over its measurements.

Order of durability:

1. Load the state of each partition, once after every assignment; skip records that it has processed.
2. Update detectors; send detections to Kafka and wait for it.
3. Save states with their offsets, every few seconds; then records may be acknowledged.

Killed between 2 and 3, the same measurements come again and lead to the same detections with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters import read_or_bury
from processors.detect.model import ModelWatch
from processors.models import by_model, states_by_model
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import DetectionRecord, EmbeddingSample, Measurement, encode_records, model_key
from processors.retry import until_it_works
from processors.settings import DetectSettings
from processors.step import Record
from storage.state import StateStore

COMPONENT: Final = "detect"


class DetectStep:
    """Turns measurements into detections."""

    def __init__(
        self,
        settings: DetectSettings,
        store: StateStore,
        producer: RecordProducer,
        topic_ids: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._states = states_by_model(
            COMPONENT,
            store,
            clock,
            settings.snapshot_seconds,
            topic_ids,
            lambda environment, model: ModelWatch(settings, environment, model),
            lambda part: ModelWatch.restored(part, settings),
        )

    async def process(self, records: Sequence[Record]) -> bool:
        """Update detectors with a batch; durable once states are saved."""
        found: list[DetectionRecord] = []
        outgoing: list[OutgoingRecord] = []
        for state, record in await self._states.unprocessed(records):
            if record.topic == topics.EMBEDDINGS:
                for (environment, model), samples in by_model(read_or_bury(record, EmbeddingSample, outgoing)):
                    found += state.of(environment, model).embed(samples)
            else:
                for (environment, model), measurements in by_model(read_or_bury(record, Measurement, outgoing)):
                    found += state.of(environment, model).update(measurements)
        for detection in found:
            key = model_key(detection.environment, detection.model)
            outgoing.append(OutgoingRecord(topics.DETECTIONS, encode_records([detection]), key))
        await until_it_works("Sending detections", lambda: self._producer.send(outgoing))
        return await self._states.saved()

    async def tick(self) -> bool:
        """Save what is due."""
        return await self._states.saved()

    def interrupt(self) -> None:
        """Whoever takes over would wait for the same."""

    async def release(self) -> None:
        """Save what can be saved, then forget."""
        await self._states.saved(now=True)
        self._states.forget()
