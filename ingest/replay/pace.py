"""Waiting until it is time. The clock and the waiting are arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from inferwatch.clock import Clock
from ingest.replay.ahead import ReadAhead
from ingest.replay.errors import ReplayError
from ingest.replay.target import Start, Target


async def pace(dues: ReadAhead, target: Target, clock: Clock, pause: Callable[[float], Awaitable[None]]) -> None:
    """Send everything at its time, the first arrival being now. What is overdue is sent at once, in its order.

    Raises what reading raises, once all that was read before it is sent.
    """
    start: Start | None = None
    try:
        while (due := await dues.next(target.flush)) is not None:
            if start is None:
                start = Start(clock.now(), clock.elapsed())
            if due.sends is not None and (wait := start.elapsed + due.sends - clock.elapsed()) > 0:
                await target.flush()
                await pause(wait)
            await target.send(due, start)
    except ReplayError:
        await target.flush()
        raise
    await target.flush()
