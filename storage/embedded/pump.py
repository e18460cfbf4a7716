"""Blocks from an engine thread to the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor
from contextlib import closing

_BLOCKS_AHEAD = 4
# How long somebody who leaves waits for the next block before the query is told to stop.
_PATIENCE_SECONDS = 0.2


async def pumped(
    threads: Executor, blocks: Callable[[], Generator[bytes, None, None]], stop: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Iterate over `blocks()` in one of `threads`; the thread waits where the reader is slower.

    Closing this generator closes the other too, and returns when the thread is free again; where no block comes in
    the meantime, `stop` is called, in another thread, until it is. Whatever the other raises is raised here.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BLOCKS_AHEAD)
    unwanted = threading.Event()

    def offer(block: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(block), loop).result()

    def produce() -> None:
        try:
            with closing(blocks()) as iterator:
                for block in iterator:
                    if unwanted.is_set():
                        return
                    offer(block)
        finally:
            offer(None)

    job = loop.run_in_executor(threads, produce)
    ended = False
    try:
        while (block := await queue.get()) is not None:
            yield block
        ended = True
        await job
    finally:
        unwanted.set()
        while not ended:
            try:
                ended = await asyncio.wait_for(queue.get(), _PATIENCE_SECONDS) is None
            except TimeoutError:
                await asyncio.to_thread(stop)
        if not job.done():
            await asyncio.wait({job})
