"""Time as an argument: the system's clock, or one that a test moves."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """`now` tells the time of day; `elapsed` only grows and measures durations."""

    def now(self) -> float:
        """Return Unix time in seconds."""
        ...

    def elapsed(self) -> float:
        """Return seconds since an arbitrary moment, never going back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def elapsed(self) -> float:
        """Return `time.perf_counter()`."""
        return time.perf_counter()
