"""Batches out of a Faust stream: what has arrived by the time that the step is ready for it, bounded by bytes.

`Stream.take` waits for its time to pass or its number to be full, also where a step that was busy finds a thousand
records waiting, and bounds records of any size by their number. Here a batch is whatever waits. One is given out at
most every `within` seconds unless it is full, so that little traffic is processed at once, and more of it in batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How large batches are.

    Attributes:
        records: most records.
        bytes: of values, after which no record is added; a batch has at least one.
        within: seconds from one batch to the next, unless one is full before.
    """

    records: int
    within: float
    bytes: int = 32 << 20


async def batches(stream: Any, size: BatchSize) -> AsyncGenerator[list[Any], None]:
    """Yield the events of a stream in batches, in order, none acknowledged. While one is processed the next gathers.

    Raises:
        Exception: whatever ends the stream.
    """
    stream.enable_acks = False
    waiting = _Waiting(size)
    gathering = asyncio.create_task(waiting.gather(stream))
    loop = asyncio.get_running_loop()
    next_at = loop.time()
    try:
        while await _either(waiting.some, gathering):
            if (pause := next_at - loop.time()) > 0:
                await _either(waiting.full, gathering, pause)
            next_at = loop.time() + size.within
            yield waiting.take()
        if waiting.events:
            yield waiting.take()
    finally:
        if not gathering.done():
            gathering.cancel()
    await gathering


async def _either(happens: asyncio.Event, task: asyncio.Task[None], seconds: float | None = None) -> bool:
    """Wait for something, or the end of a task, or some seconds; tell whether the task goes on or it happened."""
    if happens.is_set():
        return True
    waiter = asyncio.ensure_future(happens.wait())
    try:
        await asyncio.wait((waiter, task), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return happens.is_set() or not task.done()


class _Waiting:
    """Events that nobody has taken yet."""

    def __init__(self, size: BatchSize) -> None:
        self._size = size
        self._bytes = 0
        self.events: list[Any] = []
        self.some, self.full, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def gather(self, stream: Any) -> None:
        """Add events as they come, as long as there is room."""
        async for event in stream.events():
            self.events.append(event)
            self._bytes += len(event.message.value or b"")
            self.some.set()
            if len(self.events) >= self._size.records or self._bytes >= self._size.bytes:
                self.full.set()
                self._room.clear()
                await self._room.wait()

    def take(self) -> list[Any]:
        """Return all events, and make room."""
        taken, self.events, self._bytes = self.events, [], 0
        self.some.clear()
        self.full.clear()
        self._room.set()
        return taken
