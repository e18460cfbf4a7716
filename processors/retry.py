"""Back-pressure: what may pass is waited for, inside the agent, so that nothing behind it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from processors.errors import DatasetNotWritten, DeliveryFailed, Interrupted
from serving.errors import EmbedderUnavailable
from storage.errors import AppendStuck, StoreUnavailable

T = TypeVar("T")
log: Final = logging.getLogger(__name__)

PASSING: Final = (StoreUnavailable, AppendStuck, DeliveryFailed, DatasetNotWritten, EmbedderUnavailable)
"""Errors after which the same call may succeed."""

_LONGEST_WAIT: Final = 10.0


async def until_it_works(what: str, call: Callable[[], Awaitable[T]], interrupted: asyncio.Event | None = None) -> T:
    """Call until it succeeds, waiting longer each time, up to 10 seconds. Other errors than `PASSING` are raised.

    Raises:
        Interrupted: `interrupted` was set. A call under way is left to itself: it may still have its effect.
    """
    wait = 0.25
    while True:
        try:
            return await (call() if interrupted is None else _unless(interrupted, what, call()))
        except PASSING as error:
            wait = min(max(wait * 2, getattr(error, "retry_after", 0.0)), _LONGEST_WAIT)
            log.warning("%s: %s; trying again in %.1f s", what, error, wait)
            await pause(what, wait, interrupted)


async def _unless(interrupted: asyncio.Event, what: str, call: Awaitable[T]) -> T:
    task, end = asyncio.ensure_future(call), asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        end.cancel()
    if task.done():
        return task.result()
    task.add_done_callback(_note)
    raise Interrupted(what)


def _note(left: asyncio.Future[Any]) -> None:
    if not left.cancelled() and left.exception() is not None:
        log.info("A call that was left to itself failed: %s", left.exception())


async def pause(what: str, seconds: float, interrupted: asyncio.Event | None = None) -> None:
    """Wait.

    Raises:
        Interrupted: `interrupted` is set; at once.
    """
    if interrupted is None:
        await asyncio.sleep(seconds)
        return
    ends = [asyncio.ensure_future(asyncio.sleep(seconds)), asyncio.ensure_future(interrupted.wait())]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
    if interrupted.is_set():
        raise Interrupted(what)
