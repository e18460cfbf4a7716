"""The alert step: evaluates rules over measurements and detections, sends transitions on.

Order of durability:

1. Load the state of each partition, once after every assignment; skip records that it has processed.
2. Evaluate; send transitions to Kafka, where the notifier and the retrainer take them, and wait for it.
3. Save states with their offsets, every few seconds; then records may be acknowledged.

Killed between 2 and 3, the same transitions are sent again, with the same ids: whoever takes them drops them.
Alerts go on while the store is away; only restarts then look further back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from processors.alert.engine import ModelAlerts
from processors.alert.rules import Rule
from processors.dead_letters import read_or_bury
from processors.models import by_model, states_by_model
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import (
    AlertTransition,
    DetectionRecord,
    Measurement,
    encode_records,
    model_key,
)
from processors.retry import until_it_works
from processors.settings import AlertSettings
from processors.step import Record
from storage.state import StateStore

COMPONENT: Final = "alert"


class AlertStep:
    """Turns measurements and detections into alert transitions."""

    def __init__(
        self,
        settings: AlertSettings,
        rules: Sequence[Rule],
        store: StateStore,
        producer: RecordProducer,
        topic_ids: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._states = states_by_model(
            COMPONENT,
            store,
            clock,
            settings.snapshot_seconds,
            topic_ids,
            lambda environment, model: ModelAlerts(rules, environment, model),
            lambda part: ModelAlerts.restored(part, rules),
        )

    async def process(self, records: Sequence[Record]) -> bool:
        """Evaluate rules over a batch; durable once states are saved."""
        transitions: list[AlertTransition] = []
        buried: list[OutgoingRecord] = []
        for state, record in await self._states.unprocessed(records):
            if record.topic == topics.DETECTIONS:
                for detection in read_or_bury(record, DetectionRecord, buried):
                    transitions += state.of(detection.environment, detection.model).detect(detection)
            else:
                for (environment, model), measurements in by_model(read_or_bury(record, Measurement, buried)):
                    transitions += state.of(environment, model).measure(measurements, self._clock.now())
        await self._send(transitions, buried)
        return await self._states.saved()

    async def tick(self) -> bool:
        """Let time pass: alerts recover although nothing arrives."""
        transitions: list[AlertTransition] = []
        for state in self._states.all():
            for model in state.all():
                transitions += model.tick(self._clock.now())
        if transitions:
            self._states.mark_all_changed()
            await self._send(transitions)
        return await self._states.saved()

    def interrupt(self) -> None:
        """Whoever takes over would wait for the same."""

    async def release(self) -> None:
        """Save what can be saved, then forget."""
        await self._states.saved(now=True)
        self._states.forget()

    async def _send(self, transitions: Sequence[AlertTransition], buried: Sequence[OutgoingRecord] = ()) -> None:
        records = [
            *buried,
            *(
                OutgoingRecord(topics.ALERTS, encode_records([change]), model_key(change.environment, change.model))
                for change in transitions
            ),
        ]
        await until_it_works("Sending alerts", lambda: self._producer.send(records))
