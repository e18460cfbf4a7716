"""Reading in a thread of its own, a little ahead, so that neither disk nor pipe delays what is due."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_ITEMS_AHEAD: Final = 500
_LOOK_AROUND_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


class ReadAhead(Generic[T]):
    """Takes items from an iterator in a thread and gives them out in an event loop.

    A thread that waits for input cannot be told to stop, so it is a daemon: the program ends without it.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[T | _End] = queue.Queue(_ITEMS_AHEAD)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="replay-reader", daemon=True)
        self._thread.start()

    async def next(self, before_waiting: Callable[[], Awaitable[None]]) -> T | None:
        """Return the next item, None after the last. Raises what the iterator raised, in its place.

        Where none is ready, `before_waiting` is awaited first.
        """
        try:
            item = self._ready.get_nowait()
        except queue.Empty:
            await before_waiting()
            item = await self._wait()
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return None
        return item

    def close(self) -> None:
        """Let the thread end, as soon as it does not wait for input."""
        self._closing.set()

    async def _wait(self) -> T | _End:
        while True:
            with contextlib.suppress(queue.Empty):
                return await asyncio.to_thread(self._ready.get, True, _LOOK_AROUND_SECONDS)

    def _read(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except Exception as error:
            end = _End(error)
        finally:
            if hasattr(self._items, "close"):
                self._items.close()
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=_LOOK_AROUND_SECONDS)
                return True
        return False
