"""When to stop waiting for the store, because partitions are taken away."""

from __future__ import annotations

import asyncio
from typing import Final

PATIENCE: Final = 1.0
"""Seconds that a batch in progress has when partitions are taken away; a store that answers needs less."""


class Interruption:
    """A sign to stop waiting, `PATIENCE` after it was asked for; for `processors.retry.until_it_works`."""

    def __init__(self) -> None:
        self.sign = asyncio.Event()
        self._ending: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Give the sign soon: whoever takes over reads in the store how far it is."""
        self._cancel()
        self._ending = asyncio.get_running_loop().call_later(PATIENCE, self.sign.set)

    def end(self) -> None:
        """Take the sign back, given or not."""
        self._cancel()
        self.sign.clear()

    def is_set(self) -> bool:
        """Tell whether the sign was given."""
        return self.sign.is_set()

    def _cancel(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
