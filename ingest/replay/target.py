"""Where a replay can go: the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingest.replay.schedule import Due


@dataclass(frozen=True, slots=True)
class Start:
    """The moment of the first arrival, on both readings of a `Clock`: Unix seconds, and seconds that only grow."""

    now: float
    elapsed: float


class Target(Protocol):
    """Takes what is due and counts in its tally what becomes of it, from the one thread that runs the event loop.

    The order of calls: `send` and `flush`, as often as wanted; `answered`; `close`. Any of them but `close` may be
    cancelled while it waits; what was not sent by then is not counted as sent.
    """

    async def send(self, due: Due, start: Start) -> None:
        """Send, or hold until `flush`. Waits while the target has no room: that is where lateness comes from."""
        ...

    async def flush(self) -> None:
        """Send what is held: nothing else is due right now."""
        ...

    async def answered(self) -> None:
        """Wait until everything that was sent is either well or failed."""
        ...

    async def close(self) -> None:
        """Give up on what is not answered yet, counted as failed, and release connections."""
        ...
