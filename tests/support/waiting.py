"""Waiting for a condition, never for a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final

DEADLINE: Final = 90.0
"""Seconds after which waiting has failed: far more than anything takes on a busy machine."""

# Some tests put another clock's in its place.
_sleep: Final = asyncio.sleep


def wait_for(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> None:
    """Wait for a condition in another thread or process, failing after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


async def until(condition: Callable[[], Any], what: str = "a condition", seconds: float = 10.0) -> None:
    """Wait for a condition while other tasks go on, failing after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        await _sleep(0.002)


async def reached(gate: threading.Event) -> None:
    """Wait until another thread has come to a gate, while other tasks go on."""
    assert await asyncio.to_thread(gate.wait, 10.0)
