"""The mirror: takes events from the caller's thread and gets them to Kafka from its own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from inferwatch.buffer import EventBuffer
from inferwatch.clock import Clock, SystemClock
from inferwatch.events import InferenceEvent
from inferwatch.recording import Inference
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Report, Transport
from inferwatch.truncation import truncate
from inferwatch.wire import encode_event, join_record

log: Final = logging.getLogger("inferwatch")

_PAUSE_AFTER_FAILURE: Final = 10.0

TransportFactory = Callable[[MirrorSettings, Report], Transport]


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
    """Mirrors inferences to Kafka. Never blocks and never raises into the caller; memory is bounded.

    Give `bootstrap_servers` and, as keywords, any other field of `MirrorSettings`. The background thread and the
    connection start with the first event, in the process that records it, so a fork is safe.

    Raises:
        SettingError: at construction, when a setting cannot work.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        clock: Clock | None = None,
        transport: TransportFactory | None = None,
        **settings: Any,
    ) -> None:
        self.settings = MirrorSettings(bootstrap_servers, **settings)
        self._clock = clock or SystemClock()
        self._new_transport = transport or _kafka_transport
        self._reset()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # In a forked child the parent's lock may be held for ever, and its events are the parent's to send.
        # Re-entrant: under it the garbage collector may end a generator that was timing an inference, which records it.
        self._start_lock = threading.RLock()
        self._buffer = EventBuffer(self.settings.max_events, self.settings.max_bytes)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._delivered = 0
        self._failed = 0

    def record(self, event: InferenceEvent) -> None:
        """Mirror an event."""
        try:
            self._running_buffer().put(event)
        except Exception:
            log.warning("An inference could not be mirrored", exc_info=True)

    def inference(self, model: str, input: object = None, **fields: Any) -> Inference:
        """Return a context manager that times and mirrors one inference of `model`.

        `input` is a prompt, or a sequence of `Message`s or of dicts with `role` and `content`; `fields` are further
        fields of `InferenceEvent`, such as `conversation_id` or `prompt_name`.
        """
        defaults = {
            "service": self.settings.service,
            "environment": self.settings.environment,
            "team": self.settings.team,
        }
        return Inference(self.record, self._clock, model, input, {**defaults, **fields})

    def stats(self) -> MirrorStats:
        """Return how many events came, arrived and were lost."""
        buffer = self._buffer
        return MirrorStats(
            recorded=buffer.recorded,
            delivered=self._delivered,
            dropped=buffer.dropped,
            failed=self._failed,
            waiting=len(buffer),
        )

    def close(self) -> None:
        """Deliver what is held, for at most `flush_timeout` seconds. The mirror can be used again afterwards."""
        with self._start_lock:
            thread = self._thread
            if thread is None:
                return
            self._closing.set()
            self._buffer.wake()
            thread.join(self.settings.flush_timeout + 1.0)
            # In this order: whoever starts the next thread, be it from within these lines, gives it the new event.
            self._closing = threading.Event()
            self._thread = None

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running_buffer(self) -> EventBuffer:
        if self._thread is None:
            self._start()
        return self._buffer

    def _start(self) -> None:
        with self._start_lock:
            arguments = (self._buffer, self._closing)
            thread = threading.Thread(target=self._run, args=arguments, name="inferwatch", daemon=True)
            # Looked at last: making a thread may have brought this one here a second time.
            if self._thread is None:
                self._thread = thread
                thread.start()

    def _run(self, buffer: EventBuffer, closing: threading.Event) -> None:
        while True:
            try:
                return self._deliver(buffer, closing)
            except Exception:
                log.exception("Mirroring failed; it begins again in %.0f s", _PAUSE_AFTER_FAILURE)
            if closing.wait(_PAUSE_AFTER_FAILURE):
                return

    def _deliver(self, buffer: EventBuffer, closing: threading.Event) -> None:
        transport = self._new_transport(self.settings, self._report)
        try:
            while not closing.is_set():
                if buffer.wait(0.1):
                    closing.wait(self.settings.linger)
                    self._send_all(buffer, transport, closing)
                transport.poll(0)
            self._send_all(buffer, transport, closing)
        finally:
            transport.close(self.settings.flush_timeout)

    def _send_all(self, buffer: EventBuffer, transport: Transport, closing: threading.Event) -> None:
        while events := buffer.take(self.settings.events_per_record):
            for record, count in self._records(events):
                self._send(record, count, transport, closing)

    def _records(self, events: list[InferenceEvent]) -> list[tuple[bytes, int]]:
        records: list[tuple[bytes, int]] = []
        lines: list[bytes] = []
        size = 0
        for event in events:
            try:
                line = encode_event(truncate(event, self.settings.max_text_characters))
            except Exception as error:
                # An application may put anything into a field: its neighbours in the record must not pay for it.
                self._report(1, f"not JSON: {type(error).__name__}")
                continue
            if lines and size + len(line) > self.settings.record_bytes:
                records.append((join_record(lines), len(lines)))
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            records.append((join_record(lines), len(lines)))
        return records

    def _send(self, record: bytes, count: int, transport: Transport, closing: threading.Event) -> None:
        """Hand a record over; while the transport is full, events wait in the buffer, which drops its oldest."""
        while True:
            try:
                return transport.send(record, count)
            except BufferError:
                if closing.is_set():
                    return self._report(count, "the transport was full at the end")
                transport.poll(0.1)
            except Exception as error:
                return self._report(count, f"not sent: {type(error).__name__}")

    def _report(self, events: int, lost_because: str | None) -> None:
        if lost_because is None:
            self._delivered += events
        else:
            self._failed += events
            log.warning("%d mirrored events were lost: %s", events, lost_because)


def _kafka_transport(settings: MirrorSettings, report: Report) -> Transport:
    # Imported with the first event: the library costs more time than `import inferwatch` may take.
    from inferwatch.kafka import KafkaTransport

    return KafkaTransport(settings, report)
