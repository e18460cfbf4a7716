"""Reading in a thread of its own, a little ahead, so that neither disk nor pipe delays what is due."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ingest.replay.order import Bounds
from ingest.replay.schedule import Due

MOST_AHEAD: Final = Bounds(500, 16 << 20)
"""What may wait to be taken; one that is larger than this waits alone."""

_LOOK_AROUND_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


class ReadAhead:
    """Takes what is due from an iterator in a thread and gives it out in an event loop.

    A thread that waits for input cannot be told to stop, so it is a daemon: the program ends without it.
    """

    def __init__(self, dues: Iterator[Due]) -> None:
        self._dues = dues
        self._ready: deque[Due | _End] = deque()
        self._bytes = 0
        self._closing = False
        # Of all of these: something was put or taken, or it is to end.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="replay-reader", daemon=True)
        self._thread.start()

    async def next(self, before_waiting: Callable[[], Awaitable[None]]) -> Due | None:
        """Return what is due next, None after the last. Raises what the iterator raised, in its place.

        Where none is ready, `before_waiting` is awaited first.
        """
        item = self._take(0.0)
        if item is None:
            await before_waiting()
        while item is None:
            item = await asyncio.to_thread(self._take, _LOOK_AROUND_SECONDS)
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return None
        return item

    def close(self) -> None:
        """Let the thread end, as soon as it does not wait for input."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _take(self, patience: float) -> Due | _End | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready, patience):
                return None
            item = self._ready.popleft()
            self._bytes -= _size(item)
            self._changed.notify_all()
            return item

    def _read(self) -> None:
        end = _End()
        try:
            for due in self._dues:
                if not self._put(due):
                    break
        except Exception as error:
            end = _End(error)
        finally:
            if hasattr(self._dues, "close"):
                self._dues.close()
        self._put(end)

    def _put(self, item: Due | _End) -> bool:
        """Wait for room; return whether it was put, and nothing is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._has_room(_size(item)))
            if self._closing:
                return False
            self._ready.append(item)
            self._bytes += _size(item)
            self._changed.notify_all()
            return True

    def _has_room(self, size: int) -> bool:
        return not self._ready or (len(self._ready) < MOST_AHEAD.items and self._bytes + size <= MOST_AHEAD.size)


def _size(item: Due | _End) -> int:
    return item.arrival.size if isinstance(item, Due) else 0
