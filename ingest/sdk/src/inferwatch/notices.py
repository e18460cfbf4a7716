"""What goes wrong is logged: each kind once in an interval, and never so that a log handler's failure gets out."""

from __future__ import annotations

import contextlib
import logging
from typing import Final

from inferwatch.clock import Clock

log: Final = logging.getLogger("inferwatch")


class Notices:
    """Logs warnings to `inferwatch`, each kind once in `interval` seconds. May be used by any thread."""

    def __init__(self, clock: Clock, interval: float) -> None:
        self._clock = clock
        self._interval = interval
        self._silent_until: dict[str, float] = {}

    def warn(self, kind: str, message: str, *values: object, exc_info: bool = False) -> None:
        """Log a warning, unless one of its kind was logged too short ago."""
        with contextlib.suppress(Exception):
            now = self._clock.elapsed()
            if now >= self._silent_until.get(kind, now):
                self._silent_until[kind] = now + self._interval
                log.warning(message, *values, exc_info=exc_info)
