"""Back-pressure: what may pass is waited for, inside the agent, so that nothing behind it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from processors.errors import DeliveryFailed
from serving.errors import EmbedderUnavailable
from storage.errors import StoreUnavailable

T = TypeVar("T")
log: Final = logging.getLogger(__name__)

PASSING: Final = (StoreUnavailable, DeliveryFailed, EmbedderUnavailable)
"""Errors after which the same call may succeed."""

_LONGEST_WAIT: Final = 10.0


async def until_it_works(what: str, call: Callable[[], Awaitable[T]]) -> T:
    """Call until it succeeds, waiting longer each time, up to 10 seconds. Other errors than `PASSING` are raised."""
    wait = 0.25
    while True:
        try:
            return await call()
        except PASSING as error:
            wait = min(max(wait * 2, getattr(error, "retry_after", 0.0)), _LONGEST_WAIT)
            log.warning("%s: %s; trying again in %.1f s", what, error, wait)
            await asyncio.sleep(wait)
