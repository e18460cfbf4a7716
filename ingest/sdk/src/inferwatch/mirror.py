"""The mirror: takes events from the caller's thread and gets them to Kafka, or to a collector, from its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferwatch.background import Background
from inferwatch.clock import Clock, SystemClock
from inferwatch.context import current_fields
from inferwatch.delivery import TransportFactory
from inferwatch.events import FeedbackEvent, InferenceEvent
from inferwatch.ids import new_event_id
from inferwatch.recording import Inference
from inferwatch.settings import MirrorSettings


@dataclass(frozen=True, slots=True)
class MirrorStats:
    """Counts of events since the mirror was made, in this process.

    `recorded = delivered + dropped + failed + waiting`, once nothing is in flight.
    """

    recorded: int = 0
    delivered: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0


class Mirror:
    """Mirrors inferences. Never blocks and never raises into the caller; memory is bounded.

    Give `bootstrap_servers` to write to Kafka, or `collector_url` where Kafka is out of reach, and, as keywords, any
    other field of `MirrorSettings`. The background thread and the connection start with the first event, in the process
    that records it, so a fork is safe.

    Raises:
        SettingError: at construction, when a setting cannot work.
        ImportError: at construction, when confluent-kafka is needed and not installed.
    """

    def __init__(
        self,
        bootstrap_servers: str = "",
        *,
        clock: Clock | None = None,
        transport: TransportFactory | None = None,
        **settings: Any,
    ) -> None:
        self.settings = MirrorSettings(bootstrap_servers, **settings)
        self._defaults = {
            "service": self.settings.service,
            "environment": self.settings.environment,
            "team": self.settings.team,
        }
        self._clock = clock or SystemClock()
        self._background = Background(self.settings, transport or _transport_for(self.settings), self._clock)

    def record(self, event: InferenceEvent) -> None:
        """Mirror an event."""
        self._background.put(event)

    def _record_later(self, inference: Inference) -> None:
        # The mirror's thread makes the event: that would cost the caller as much as everything else.
        self._background.put(inference)

    def inference(self, model: str, input: object = None, **fields: Any) -> Inference:
        """Return a context manager that times and mirrors one inference of `model`.

        `input` is a prompt, or a sequence of `Message`s or of dicts with `role` and `content`; `fields` are further
        fields of `InferenceEvent`, such as `conversation_id` or `prompt_name`. What they do not say, or say as None, is
        taken from `inferwatch.context` and from an active OpenTelemetry span, then from the mirror's settings.
        """
        said = current_fields()
        try:
            if None in fields.values():
                fields = {name: value for name, value in fields.items() if value is not None}
            given = {**self._defaults, **said, **fields}
            if "attributes" in said and "attributes" in fields:
                given["attributes"] = {**said["attributes"], **fields["attributes"]}
        except Exception:
            # Values may be of any type. Whether an event can be made of them shows at its end.
            given = {**self._defaults, **said, **fields}
        return Inference(self.record, self._clock, model, input, given, self._record_later)

    def feedback(
        self,
        event_id: str | None = None,
        *,
        response_id: str | None = None,
        score: float | None = None,
        label: str | None = None,
        comment: str | None = None,
        who: str | None = None,
    ) -> str:
        """Mirror a rating or correction of one inference and return its id.

        The inference is found by its event id (`Inference.event_id`, or the header `x-inferwatch-event-id` of a
        response through the sidecar) or by the id that its response had. `who` is hashed before it is stored.
        """
        feedback_id = new_event_id()
        if event_id is None and response_id is None:
            self._background.warn("Feedback is not mirrored: it names neither an event_id nor a response_id")
            return feedback_id
        self._background.put(
            FeedbackEvent(
                feedback_id=feedback_id,
                at=self._clock.now(),
                event_id=event_id,
                response_id=response_id,
                score=score,
                label=label,
                comment=comment,
                who=who,
            )
        )
        return feedback_id

    def stats(self) -> MirrorStats:
        """Return how many events came, arrived and were lost."""
        buffer, delivery = self._background.buffer, self._background.delivery
        return MirrorStats(
            recorded=buffer.recorded,
            delivered=delivery.delivered,
            dropped=buffer.dropped,
            failed=delivery.failed,
            waiting=len(buffer),
        )

    def close(self) -> None:
        """Deliver what is held, for about `flush_timeout` seconds. The mirror can be used again afterwards."""
        self._background.close()

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _transport_for(settings: MirrorSettings) -> TransportFactory:
    # Imported with the first mirror: it takes more time than `import inferwatch` may. Not by the background thread: a
    # process that is forked meanwhile would be left with half a module.
    if settings.collector_url:
        from inferwatch.http import HttpTransport

        return HttpTransport
    from inferwatch.kafka import KafkaTransport

    return KafkaTransport
