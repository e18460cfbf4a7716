"""A replay, put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import Final

from inferwatch.clock import Clock
from ingest.replay.ahead import ReadAhead
from ingest.replay.arrival import Arrival
from ingest.replay.errors import BadLineError
from ingest.replay.formats import Format, arrivals, reader_of, recognise
from ingest.replay.lines import read_lines
from ingest.replay.order import by_arrival
from ingest.replay.pace import pace
from ingest.replay.schedule import Due
from ingest.replay.settings import ReplaySettings
from ingest.replay.tally import Tally
from ingest.replay.target import Target
from ingest.replay.window import within

_PATIENCE: Final = 5.0
"""Seconds that what is under way has after a stop."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A file that was opened: its format, and its arrivals in order."""

    form: Format
    arrivals: Iterator[Arrival]


def open_trace(settings: ReplaySettings, tally: Tally) -> Trace:
    """Open a file, recognise it, and return the arrivals asked for; lines and disorder are counted in `tally`.

    Raises:
        UnreadableFileError: it cannot be opened or read.
        UnknownFormatError: it is of no known format.
        BadLineError: from the iterator, at a line that is not of the format, unless such lines are skipped.
    """
    lines = read_lines(settings.path)
    form = settings.form
    if form is None:
        form, lines = recognise(settings.path, lines)
    bad = tally.note_skipped if settings.skip_bad else _raise
    read = arrivals(lines, reader_of(form), bad)
    return Trace(form, within(by_arrival(read, settings.reorder, tally.note_disordered), settings.window))


async def replay(dues: Iterator[Due], target: Target, tally: Tally, clock: Clock, stop: asyncio.Event) -> None:
    """Send everything at its time and wait until it is answered, or until `stop` and some seconds more.

    Raises:
        ReplayError: the file cannot be read on; what was sent before is answered and counted.
    """
    began = clock.elapsed()
    source = ReadAhead(dues)
    # Until the last arrival is sent: also where the file cannot be read so far.
    tally.interrupted = True
    try:
        tally.interrupted = not await _unless(stop, pace(source, target, clock, asyncio.sleep))
    finally:
        source.close()
        try:
            await _finish(target, stop)
        finally:
            tally.wall = clock.elapsed() - began


async def _finish(target: Target, stop: asyncio.Event) -> None:
    try:
        if not await _unless(stop, target.answered()):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(target.answered(), _PATIENCE)
    finally:
        await target.close()


async def _unless(stop: asyncio.Event, wanted: Awaitable[None]) -> bool:
    """Wait for something, but not beyond `stop`; return whether it was done."""
    doing, stopping = asyncio.ensure_future(wanted), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
            return True
        return False
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


def _raise(error: BadLineError) -> None:
    raise error
