"""Rollups follow the rows that were stored, in a task of its own; no acknowledgement waits for them.

Whatever is killed, and when: the store knows how far each rollup got, and the next step goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from storage.errors import StoreUnavailable
from storage.rollups import Rollups

log: Final = logging.getLogger(__name__)

_OTHERS_EVERY: Final = 30
"""Calls after which a worker looks whether rollups are behind although they are another's to advance."""


class Roller:
    """Advances rollups. `mine` tells whether this worker has the first partition: one worker is enough for all.

    An error other than of a store that is away ends the task, and the next `go_on` raises it.
    """

    def __init__(self, rollups: Rollups, mine: Callable[[], bool]) -> None:
        self._rollups = rollups
        self._mine = mine
        self._calls = 0
        self._task: asyncio.Task[None] | None = None

    def go_on(self) -> None:
        """Begin another round unless one is under way. Called about once a second."""
        if self._task is not None:
            if not self._task.done():
                return
            self._task.result()
        self._calls += 1
        if self._mine() or self._calls % _OTHERS_EVERY == 0:
            self._task = asyncio.create_task(self._round())

    async def _round(self) -> None:
        try:
            while any(one.more for one in (await asyncio.to_thread(self._rollups.advance)).values()):
                pass
        except StoreUnavailable as error:
            log.warning("Rollups wait: %s", error)
