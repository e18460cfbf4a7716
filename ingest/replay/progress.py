"""How a replay is getting on, while it runs: a bar on a terminal, elsewhere a line from time to time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ingest.replay.tally import Tally
from ingest.replay.window import Window

_BAR_SECONDS: Final = 0.2
_LINE_SECONDS: Final = 10.0

Shown = Callable[[], tuple[str, float | None]]
Pause = Callable[[float], Awaitable[None]]


async def show(tally: Tally, size: int | None, window: Window, console: Console, pause: Pause = asyncio.sleep) -> None:
    """Show progress until cancelled. `size` is that of the file in bytes, where it has one."""

    def shown() -> tuple[str, float | None]:
        return in_words(tally), share(tally, size, window)

    if console.is_terminal:
        await _bar(console, shown, pause)
    else:
        await _lines(console, shown, pause)


def in_words(tally: Tally) -> str:
    """Return the counts so far as one line."""
    reached = dt.timedelta(seconds=round(tally.offset))
    parts = [f"{tally.sent:,} sent", f"trace at {reached}", f"{tally.ok:,} well"]
    counted = {
        "failed": tally.failed.total(),
        "not sent": tally.dropped.total(),
        "late": tally.late,
        "skipped": tally.skipped,
    }
    return ", ".join(parts + [f"{count:,} {name}" for name, count in counted.items() if count])


def share(tally: Tally, size: int | None, window: Window) -> float | None:
    """Return how much of the replay is done, 0 to 1: the most that file, window or limit say; None where none does."""
    shares = []
    if size:
        shares.append(tally.place / size)
    if window.limit is not None:
        shares.append(tally.sent / window.limit)
    if window.end is not None:
        shares.append(tally.offset / (window.end - window.begin))
    return min(1.0, max(shares)) if shares else None


async def _bar(console: Console, shown: Shown, pause: Pause) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=None)
        while True:
            words, done = shown()
            progress.update(task, description=words, total=None if done is None else 1.0, completed=done or 0.0)
            progress.refresh()
            await pause(_BAR_SECONDS)


async def _lines(console: Console, shown: Shown, pause: Pause) -> None:
    while True:
        await pause(_LINE_SECONDS)
        words, done = shown()
        console.print(words if done is None else f"{done:.0%}: {words}", highlight=False, soft_wrap=True)
