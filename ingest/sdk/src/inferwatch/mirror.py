"""The mirror: takes events from the caller's thread and gets them to Kafka, or to a collector, from its own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Final

from inferwatch.buffer import EventBuffer, Mirrored
from inferwatch.clock import Clock, SystemClock
from inferwatch.context import current_fields
from inferwatch.delivery import Delivery, TransportFactory
from inferwatch.events import FeedbackEvent, InferenceEvent
from inferwatch.ids import new_event_id
from inferwatch.recording import Inference
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Report, Transport

log: Final = logging.getLogger("inferwatch")


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
        self._new_transport = transport or _transport
        self._reset()
        _mirrors.add(self)

    def _reset(self) -> None:
        # In a forked child the parent's lock may be held for ever, and its events are the parent's to send.
        # Re-entrant: under it the garbage collector may end a generator that was timing an inference, which records it.
        self._start_lock = threading.RLock()
        self._buffer = EventBuffer(self.settings.max_events, self.settings.max_bytes)
        self._delivery = Delivery(self.settings, self._buffer, self._new_transport, self._clock)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def record(self, event: InferenceEvent) -> None:
        """Mirror an event."""
        self._put(event)

    def inference(self, model: str, input: object = None, **fields: Any) -> Inference:
        """Return a context manager that times and mirrors one inference of `model`.

        `input` is a prompt, or a sequence of `Message`s or of dicts with `role` and `content`; `fields` are further
        fields of `InferenceEvent`, such as `conversation_id` or `prompt_name`. What they do not say is taken from
        `inferwatch.context` and from an active OpenTelemetry span, then from the mirror's settings.
        """
        said = current_fields()
        given = {**self._defaults, **said, **fields}
        if "attributes" in said and "attributes" in fields:
            given["attributes"] = {**said["attributes"], **fields["attributes"]}
        return Inference(self._put, self._clock, model, input, given)

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
            log.warning("Feedback is not mirrored: it names neither an event_id nor a response_id")
            return feedback_id
        self._put(
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
        buffer, delivery = self._buffer, self._delivery
        return MirrorStats(
            recorded=buffer.recorded,
            delivered=delivery.delivered,
            dropped=buffer.dropped,
            failed=delivery.failed,
            waiting=len(buffer),
        )

    def close(self) -> None:
        """Deliver what is held, for at most `flush_timeout` seconds. The mirror can be used again afterwards."""
        with self._start_lock:
            thread = self._thread
            if thread is None:
                return
            self._closing.set()
            thread.join(self.settings.flush_timeout + 1.0)
            # In this order: whoever starts the next thread, be it from within these lines, gives it the new event.
            self._closing = threading.Event()
            self._thread = None
            _running.discard(self)

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, event: Mirrored) -> None:
        try:
            if self._thread is None:
                self._start()
            self._buffer.put(event)
        except Exception:
            log.warning("An event could not be mirrored", exc_info=True)

    def _start(self) -> None:
        with self._start_lock:
            run, closing = self._delivery.run, self._closing
            thread = threading.Thread(target=run, args=(closing,), name="inferwatch", daemon=True)
            # Looked at last: making a thread may have brought this one here a second time.
            if self._thread is None:
                self._thread = thread
                thread.start()
                _running.add(self)


def _transport(settings: MirrorSettings, report: Report) -> Transport:
    # Imported with the first event: the libraries cost more time than `import inferwatch` may take.
    if settings.collector_url:
        from inferwatch.http import HttpTransport

        return HttpTransport(settings, report)
    from inferwatch.kafka import KafkaTransport

    return KafkaTransport(settings, report)


_mirrors: Final[weakref.WeakSet[Mirror]] = weakref.WeakSet()
_running: Final[set[Mirror]] = set()
"""Those with a thread: what they hold is delivered at exit, also where nobody refers to them any more."""


def _close_all() -> None:
    running = list(_running)
    for mirror in running:
        mirror._closing.set()  # all at the same time, so that many wait no longer than one
    for mirror in running:
        mirror.close()


def _reset_all() -> None:
    _running.clear()
    for mirror in list(_mirrors):
        mirror._reset()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
