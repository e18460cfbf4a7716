"""A bounded number of places to run in, and a bounded crowd in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

from storage.embedded.errors import TooManyQueries


class Places:
    """Reading and writing each have their places, so that slow reading leaves inserts alone.

    Parameters
    ----------
    reading, writing
        Statements of each sort that run at once.
    waiting
        Requests of both sorts together that may be received, or wait for a place, beyond those.
    """

    def __init__(self, reading: int, writing: int, waiting: int) -> None:
        self._reading = asyncio.Semaphore(reading), ThreadPoolExecutor(reading, "store-read")
        self._writing = asyncio.Semaphore(writing), ThreadPoolExecutor(writing, "store-write")
        self._most = reading + writing + waiting
        self.present = 0
        self.running = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Let one request in.

        Raises
        ------
        TooManyQueries
            The house is full; nothing of the request was read.
        """
        if self.present >= self._most:
            raise TooManyQueries(self.running, self.present - self.running)
        self.present += 1
        try:
            yield
        finally:
            self.present -= 1

    @asynccontextmanager
    async def place(self, *, writing: bool) -> AsyncIterator[ThreadPoolExecutor]:
        """Wait for a place and hold it; gives the threads to run in."""
        places, threads = self._writing if writing else self._reading
        async with places:
            self.running += 1
            try:
                yield threads
            finally:
                self.running -= 1

    def close(self) -> None:
        """Let nobody in any more; those inside may finish."""
        self._most = 0

    def abandon(self) -> None:
        """Forget what has not begun to run; does not wait for what has."""
        for _, threads in (self._reading, self._writing):
            threads.shutdown(wait=False, cancel_futures=True)
