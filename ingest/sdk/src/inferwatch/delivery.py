"""The mirror's background thread: takes events from the buffer, makes records of them and sees them delivered."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from inferwatch import topics
from inferwatch.buffer import EventBuffer, Mirrored
from inferwatch.clock import Clock
from inferwatch.errors import EventError
from inferwatch.events import FeedbackEvent, InferenceEvent
from inferwatch.losses import Losses
from inferwatch.notices import Notices
from inferwatch.prepare import prepare
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Record, Report, Transport
from inferwatch.wire import check_line, encode_event, join_record

log: Final = logging.getLogger("inferwatch")

TransportFactory = Callable[[MirrorSettings, Report], Transport]

_PAUSE_AFTER_FAILURE: Final = 10.0
_SHORTEST_LINGER: Final = 0.005
_LOOKS_AFTER: Final = 0.05
_SHARE_FOR_THE_LAST_REPORT: Final = 0.1
"""Of the time for ending: what is lost until then is told in it."""
_PLACE: Final = re.compile(r"\[\d+\]")
"""In a list: reasons are counted apart, and of one for each place there would be no end."""


class Delivery:
    """Delivers what a buffer holds; `delivered` and `failed` count events.

    `run` is the thread's body. After an error of its own it begins again, with a new transport. `complete` says whether
    it ended after it had taken all that waited when it was told to. `notices` logs what goes wrong.
    """

    def __init__(
        self, settings: MirrorSettings, buffer: EventBuffer, new_transport: TransportFactory, clock: Clock
    ) -> None:
        self._settings = settings
        self._buffer = buffer
        self._new_transport = new_transport
        self._losses = Losses(settings, clock)
        self._one_at_a_time = threading.Lock()
        self._ends_at: float | None = None
        self.notices = Notices(clock, settings.report_interval)
        self.delivered = 0
        self.failed = 0
        self.complete = False

    def run(self, closing: threading.Event) -> None:
        """Deliver until `closing` is set and what waited then is sent; let an earlier run end first."""
        with self._one_at_a_time:
            self.complete = False
            while True:
                try:
                    return self._deliver(closing)
                except Exception:
                    # A log handler of the application's may fail too, here and below.
                    with contextlib.suppress(Exception):
                        log.exception("Mirroring failed; it begins again in %.0f s", _PAUSE_AFTER_FAILURE)
                if closing.wait(_PAUSE_AFTER_FAILURE):
                    return

    def _deliver(self, closing: threading.Event) -> None:
        self._ends_at = None
        transport = self._new_transport(self._settings, self._report)
        try:
            while not self._pause(closing):
                self._send_waiting(transport, closing)
                self._tell_losses(transport, closing)
                transport.poll(0)
            self._send_waiting(transport, closing)
            self._tell_losses(transport, closing)
            self.complete = True
        finally:
            reserved = _SHARE_FOR_THE_LAST_REPORT * self._settings.flush_timeout
            transport.close(max(0.0, self._time_left() - reserved))
        self._tell_what_the_end_lost(closing)

    def _tell_what_the_end_lost(self, closing: threading.Event) -> None:
        """Tell what only the end of the transport showed, through another one."""
        self._losses.dropped(self._buffer.dropped)
        record = self._losses.due(at_the_end=True)
        if record is None:
            return
        last = self._new_transport(self._settings, self._report)
        try:
            self._send(record, last, closing)
        finally:
            last.close(self._time_left())

    def _pause(self, closing: threading.Event) -> bool:
        """Wait for more events, until `linger` is over or a record's worth waits; returns whether to end."""
        until = time.monotonic() + max(self._settings.linger, _SHORTEST_LINGER)
        while not self._is_record_waiting() and (left := until - time.monotonic()) > 0:
            if closing.wait(min(left, _LOOKS_AFTER)):
                break
        return closing.is_set()

    def _is_record_waiting(self) -> bool:
        settings = self._settings
        return len(self._buffer) >= settings.events_per_record or self._buffer.held_bytes >= settings.record_bytes

    def _send_waiting(self, transport: Transport, closing: threading.Event) -> None:
        """Send what waits now. What comes meanwhile, however much, is for the next round: losses have to be told."""
        most = self._settings.events_per_record
        for _ in range(0, len(self._buffer), most):
            for record in self._records(self._buffer.take(most)):
                self._send(record, transport, closing)

    def _time_left(self) -> float:
        """Return the seconds left for ending, which begins with the first call."""
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + self._settings.flush_timeout
        return max(0.0, self._ends_at - now)

    def _tell_losses(self, transport: Transport, closing: threading.Event) -> None:
        self._losses.dropped(self._buffer.dropped)
        record = self._losses.due(at_the_end=closing.is_set())
        if record is not None:
            self._send(record, transport, closing)

    def _records(self, events: Iterable[Mirrored]) -> list[Record]:
        """Return events as records: inferences together, feedback by its key."""
        records: list[Record] = []
        lines: list[bytes] = []
        size = 0
        for event in events:
            line = self._line(event)
            if line is None:
                continue
            if isinstance(event, FeedbackEvent):
                key = (event.event_id or event.response_id or "").encode("utf-8", "replace")
                records.append(Record(topics.FEEDBACK, line, 1, key))
                continue
            if lines and size + len(line) > self._settings.record_bytes:
                records.append(_inferences(lines))
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        return [*records, _inferences(lines)] if lines else records

    def _line(self, event: Mirrored) -> bytes | None:
        try:
            made = event if isinstance(event, InferenceEvent | FeedbackEvent) else event.event()
            line = encode_event(prepare(made, self._settings))
            check_line(line, made)
        except EventError as error:
            self._lost(1, f"not an event: {_PLACE.sub('[...]', error.reason)}")
        except Exception as error:
            # An application may put anything into a field: its neighbours in the record must not pay for it.
            self._lost(1, f"not JSON: {type(error).__name__}")
        else:
            return line
        return None

    def _send(self, record: Record, transport: Transport, closing: threading.Event) -> None:
        """Hand a record over; while the transport is full, events wait in the buffer, which drops its oldest."""
        while True:
            try:
                return transport.send(record)
            except BufferError:
                if closing.is_set() and not self._time_left():
                    return self._report(record, "the transport was full at the end")
                transport.poll(0.1)
            except Exception as error:
                return self._report(record, f"not sent: {type(error).__name__}")

    def _report(self, record: Record, lost_because: str | None) -> None:
        if record.topic == topics.TELEMETRY:
            self._losses.settled(record, lost_because)
        elif lost_because is None:
            self.delivered += record.events
        else:
            self._lost(record.events, lost_because)

    def _lost(self, events: int, reason: str) -> None:
        self.failed += events
        self._losses.failed(events, reason)
        told = "%d mirrored events were lost: %s; more are counted, and told later"
        self.notices.warn(reason, told, events, reason)


def _inferences(lines: list[bytes]) -> Record:
    return Record(topics.INFERENCES, join_record(lines), len(lines))
