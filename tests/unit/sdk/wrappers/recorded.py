"""A mirror for tests of wrappers: its clock stands still, its events stay here."""

from __future__ import annotations

from typing import Any

from inferwatch import Inference, InferenceEvent, Mirror
from inferwatch.tensors import with_summaries
from tests.unit.sdk.events import HandClock


class RecordedMirror(Mirror):
    """Keeps events and sends nothing, so that no thread is started."""

    def __init__(self, **settings: Any) -> None:
        self.clock = HandClock()
        self.asked: list[Inference] = []
        self.events: list[InferenceEvent] = []
        super().__init__("unused:1", clock=self.clock, **settings)

    def inference(self, model: str, input: object = None, **fields: Any) -> Inference:
        self.asked.append(super().inference(model, input, **fields))
        return self.asked[-1]

    def record(self, event: InferenceEvent) -> None:
        self.events.append(with_summaries(event))

    def _record_later(self, inference: Inference) -> None:
        self.record(inference.event())

    def event(self) -> InferenceEvent:
        """Return the one event that there is."""
        (event,) = self.events
        return event
