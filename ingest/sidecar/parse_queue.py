"""Carries exchanges from the event loop to one thread that makes events of them; bounded, oldest dropped first."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Final

from inferwatch.events import InferenceEvent
from ingest.errors import ContentError
from ingest.sidecar.exchange import Exchange
from ingest.sidecar.metrics import Counters
from ingest.sidecar.parse import Defaults, parse, without_content

log: Final = logging.getLogger("inferwatch.sidecar")

_LINGER_SECONDS: Final = 0.01
"""The thread works in bursts, so that the event loop rarely pays for waking it."""


class ParseQueue:
    """Parses exchanges and gives their events to `record`, which must not raise."""

    def __init__(
        self,
        record: Callable[[InferenceEvent], None],
        defaults: Defaults,
        counters: Counters,
        max_pending: int,
        max_pending_bytes: int,
    ) -> None:
        self._record = record
        self._defaults = defaults
        self._counters = counters
        self._max_pending = max_pending
        self._max_bytes = max_pending_bytes
        self._pending: deque[Exchange] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inferwatch-parse", daemon=True)

    def __len__(self) -> int:
        return len(self._pending)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, exchange: Exchange) -> None:
        """Add an exchange that has ended; drop the oldest that no longer fit."""
        self._counters.add("inferwatch_sidecar_inferences_total")
        with self._lock:
            self._pending.append(exchange)
            self._bytes += exchange.held
            while len(self._pending) > self._max_pending or (self._bytes > self._max_bytes and len(self._pending) > 1):
                self._bytes -= self._pending.popleft().held
                self._counters.add("inferwatch_sidecar_unparsed_dropped_total")
        if not self._filled.is_set():
            self._filled.set()

    def close(self, timeout: float) -> None:
        """Parse what is pending, for at most `timeout` seconds; drop and count the rest."""
        self._closing.set()
        self._filled.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        with self._lock:
            left = len(self._pending)
            self._pending.clear()
            self._bytes = 0
        if left:
            self._counters.add("inferwatch_sidecar_unparsed_dropped_total", left)
            log.warning("%d inferences are not mirrored: the time to parse them was over", left)

    def _run(self) -> None:
        while True:
            self._filled.wait()
            self._closing.wait(_LINGER_SECONDS)
            while (exchange := self._take()) is not None:
                self._pass_on(exchange)
            if self._closing.is_set():
                return

    def _take(self) -> Exchange | None:
        with self._lock:
            if not self._pending:
                self._filled.clear()
                return None
            exchange = self._pending.popleft()
            self._bytes -= exchange.held
            return exchange

    def _pass_on(self, exchange: Exchange) -> None:
        try:
            self._record(self._event(exchange))
        except Exception as error:
            # The thread must outlive whatever one exchange does to it: without it nothing is observed any more.
            self._counters.add("inferwatch_sidecar_parse_errors_total")
            log.error("An inference of %r is not mirrored: %s", exchange.route.model, _without_message(error))

    def _event(self, exchange: Exchange) -> InferenceEvent:
        try:
            return parse(exchange, self._defaults)
        except ContentError as error:
            log.warning("An inference of %r is mirrored without content: %s", exchange.route.model, error)
        except Exception as error:
            model = exchange.route.model
            log.error("An inference of %r is mirrored without content: %s", model, _without_message(error))
        event = without_content(exchange, self._defaults)
        self._counters.add("inferwatch_sidecar_parse_errors_total")
        return event


def _without_message(error: Exception) -> str:
    """Return what an error is and where it came from; its message may quote content."""
    return f"{type(error).__name__}, raised by\n{''.join(traceback.format_tb(error.__traceback__, limit=-3))}"
