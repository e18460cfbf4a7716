"""What waits for Kafka: bounded, oldest dropped first, and nobody who puts something in ever waits."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from inferwatch import ServerSample, topics
from inferwatch.clock import Clock
from inferwatch.transport import Record, Report, Transport
from inferwatch.wire import encode_event
from ingest.scraper.samples import key_of

log: Final = logging.getLogger(__name__)

NewTransport = Callable[[Report], Transport]

_LOOK_AROUND: Final = 0.2
_PAUSE_AFTER_FAILURE: Final = 10.0


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Samples put in, and what became of them; the others are on their way.

    Attributes:
        put: all of them.
        sent: Kafka has them.
        dropped: Kafka was away for so long that there was no room any more.
        failed: Kafka refused them, or the end came first.
        waiting: none of these yet.
    """

    put: int
    sent: int
    dropped: int
    failed: int
    waiting: int


class Outbox:
    """Sends samples from a thread of its own, through a transport that this thread alone uses.

    What the transport took stays there until Kafka has it; beyond that `most` samples wait here. After an error of the
    transport itself the thread begins again with another one.
    """

    def __init__(self, most: int, new_transport: NewTransport, flush_timeout: float, clock: Clock) -> None:
        self._most = most
        self._new_transport = new_transport
        self._flush_timeout = flush_timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._records: deque[Record] = deque()
        self._put = self._sent = self._dropped = self._failed = 0
        self._filled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, samples: Iterable[ServerSample]) -> None:
        """Add samples; drop the oldest of those that are too many."""
        records = [Record(topics.TELEMETRY, encode_event(sample), 1, key_of(sample)) for sample in samples]
        with self._lock:
            self._put += len(records)
            self._records += records
            while len(self._records) > self._most:
                self._records.popleft()
                self._dropped += 1
        self._filled.set()

    def close(self) -> None:
        """Send what waits, as far as Kafka takes it within `flush_timeout`; the rest has failed. Blocks."""
        self._closing.set()
        self._filled.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._failed += len(self._records)
            self._records.clear()

    def stats(self) -> OutboxStats:
        """Return what became of samples so far."""
        with self._lock:
            waiting = self._put - self._sent - self._dropped - self._failed
            return OutboxStats(self._put, self._sent, self._dropped, self._failed, waiting)

    def _run(self) -> None:
        while True:
            try:
                return self._deliver()
            except Exception:
                log.exception("Sending samples failed; it begins again in %.0f s", _PAUSE_AFTER_FAILURE)
            if self._closing.wait(_PAUSE_AFTER_FAILURE):
                return

    def _deliver(self) -> None:
        transport, left = self._new_transport(self._report), self._flush_timeout
        try:
            while not self._closing.is_set():
                # Also without anything new: acknowledgements are only seen by who looks.
                self._filled.wait(_LOOK_AROUND)
                self._filled.clear()
                self._hand_over(transport)
                transport.poll(0)
            until = self._clock.elapsed() + self._flush_timeout
            # More may wait here than the transport holds at a time.
            while not self._hand_over(transport) and left > 0:
                transport.poll(min(left, _LOOK_AROUND))
                left = until - self._clock.elapsed()
        finally:
            transport.close(max(0.0, left))

    def _hand_over(self, transport: Transport) -> bool:
        """Give the transport what waits; return whether it took all of it."""
        while True:
            with self._lock:
                if not self._records:
                    return True
                record = self._records.popleft()
            try:
                transport.send(record)
            except BaseException as error:
                with self._lock:
                    self._records.appendleft(record)
                if isinstance(error, BufferError):
                    return False
                raise

    def _report(self, record: Record, lost_because: str | None) -> None:
        with self._lock:
            if lost_because is None:
                self._sent += record.events
            else:
                self._failed += record.events
        if lost_because is not None:
            log.warning("A sample did not reach Kafka: %s", lost_because)
