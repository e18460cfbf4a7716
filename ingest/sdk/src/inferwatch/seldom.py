"""Log lines that say the same again and again, let through now and then."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

REPEATED_AFTER: Final = 60.0
"""Seconds until the same is said again."""

_NUMBERS: Final = re.compile(r"\d+")
_MOST_KINDS: Final = 256


class Seldom(logging.Filter):
    """Lets a line pass that has not passed for a minute; what differs only in numbers is the same line.

    librdkafka tells of a broker that is away several times a second.
    """

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._elapsed = elapsed
        self._silent_until: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to pass."""
        now, kind = self._elapsed(), _NUMBERS.sub("0", record.getMessage())
        if now < self._silent_until.get(kind, now):
            return False
        if len(self._silent_until) >= _MOST_KINDS:
            self._silent_until.clear()
        self._silent_until[kind] = now + REPEATED_AFTER
        return True
