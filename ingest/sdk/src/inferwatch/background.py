"""A mirror's thread: started by the first event, ended by `close` or the end of the process, begun anew in a child."""

from __future__ import annotations

import threading

from inferwatch import process
from inferwatch.buffer import EventBuffer, Mirrored
from inferwatch.clock import Clock
from inferwatch.delivery import Delivery, TransportFactory
from inferwatch.settings import MirrorSettings


class Background:
    """Takes events from any thread and delivers them from its own. Nothing that an application does makes it raise."""

    def __init__(self, settings: MirrorSettings, new_transport: TransportFactory, clock: Clock) -> None:
        self._settings = settings
        self._new_transport = new_transport
        self._clock = clock
        self.flush_timeout = settings.flush_timeout
        self.begin_anew()
        process.know(self)

    def begin_anew(self) -> None:
        """Hold nothing and run nothing; in a forked child, whose parent delivers what was recorded before."""
        # New, because the parent's may be held for ever. Re-entrant: under it the garbage collector may end a generator
        # that was timing an inference, which records it.
        self._start_lock = threading.RLock()
        self.buffer = EventBuffer(self._settings.max_events, self._settings.max_bytes)
        self.delivery = Delivery(self._settings, self.buffer, self._new_transport, self._clock)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def put(self, event: Mirrored) -> None:
        """Take an event."""
        try:
            self.buffer.put(event)
            # Looked at afterwards: where `close` ends the thread meanwhile, one of the two sees what the other did.
            if self._thread is None:
                self._start()
        except Exception:
            self.warn("An event could not be mirrored", exc_info=True)

    def warn(self, message: str, *values: object, exc_info: bool = False) -> None:
        """Log a warning, each message once in `report_interval`."""
        self.delivery.notices.warn(message, message, *values, exc_info=exc_info)

    def close(self) -> None:
        """Deliver what is held, for about `flush_timeout` seconds."""
        with self._start_lock:
            # What other threads put after the last look has no thread: they saw that this one was there.
            if self.end(self.flush_timeout + process.MARGIN) and len(self.buffer):
                self._start()

    def begin_to_end(self) -> None:
        """Let the thread deliver what is held and end, without waiting for it."""
        self._closing.set()

    def end(self, seconds: float) -> bool:
        """Wait for the thread to end; returns whether there was one and it took all that it found."""
        with self._start_lock:
            thread = self._thread
            if thread is None:
                return False
            self._closing.set()
            thread.join(seconds)
            # In this order: whoever starts the next thread, be it from within these lines, gives it the new event.
            self._closing = threading.Event()
            self._thread = None
            process.ended(self)
            return self.delivery.complete and not thread.is_alive()

    def _start(self) -> None:
        """Start the thread; where that cannot be, events wait for the next one to try."""
        with self._start_lock:
            run, closing = self.delivery.run, self._closing
            thread = threading.Thread(target=run, args=(closing,), name="inferwatch", daemon=True)
            # Looked at last: making a thread may have brought this one here a second time.
            if self._thread is not None:
                return
            self._thread = thread
            try:
                thread.start()
            except RuntimeError as error:
                self._thread = None
                self.warn("Mirroring could not start: %s", error)
            else:
                process.started(self)
