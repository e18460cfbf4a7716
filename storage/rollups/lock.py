"""Keeping steps away from a day of a rollup while another version of it is put in place.

A day is locked and unlocked by marks that make its generation odd and even, inserted as any step: by compare-and-swap
on the marks before. A step that began before the lock and arrives after it has lost to it, and counts nothing.

Who holds a lock can only finish with the table it makes. So whoever ends the lock of another drops that table first,
and reads the marks after that.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from inferwatch.clock import Clock
from storage.connection import Connection
from storage.errors import RebuildOvertaken
from storage.rollups import step
from storage.rollups.figures import Rollup
from storage.rollups.marks import LOCK, NO_MARKS, Marks, Place, read_marks

_LEASE_SECONDS: Final = 120.0
_MOST_ATTEMPTS: Final = 100
_RELEASED: Final = "released"


def table_prefix(rollup: Rollup, day: dt.date) -> str:
    """Return what the names of all tables begin with in which a day is made again."""
    return f"{rollup.name}_again_{day:%Y%m%d}_"


def take(connection: Connection, rollup: Rollup, day: dt.date, holder: str, clock: Clock) -> Marks:
    """Lock a day for the rebuild that makes table `holder`; return its marks, which nobody changes from then on.

    Raises:
        RebuildOvertaken: somebody else locked it at the same moment.
    """
    before, attempt = _marks(connection, rollup, day), 0
    for _ in range(_MOST_ATTEMPTS):
        if before.locked:
            for table in again_tables(connection, rollup, day):
                if table != holder:
                    drop(connection, table)
            now = _marks(connection, rollup, day)
            before, attempt = now, attempt if now == before else 0
        generation = before.generation + (2 if before.locked else 1)
        _mark(connection, rollup, day, before, holder, generation, attempt, clock)
        now = _marks_after(connection, rollup, day, before)
        if holder in now.holders and now.generation == generation:
            return now
        before, attempt = (before, attempt + 1) if now == before else (now, 0)
    raise RebuildOvertaken(rollup.name, day)


def release_stale(connection: Connection, rollup: Rollup, day: dt.date, clock: Clock) -> None:
    """Unlock a day whose rebuild is gone, or takes too long; that one's table is dropped, so it cannot finish."""
    before = _marks(connection, rollup, day)
    tables = again_tables(connection, rollup, day)
    if not before.locked or (tables and clock.now() - max(before.holders.values()) < _LEASE_SECONDS):
        return
    for table in tables:
        drop(connection, table)
    before = _marks(connection, rollup, day)
    for attempt in range(_MOST_ATTEMPTS):
        if not before.locked:
            return
        _mark(connection, rollup, day, before, _RELEASED, before.generation + 1, attempt, clock)
        if _marks_after(connection, rollup, day, before) != before:
            return


def again_tables(connection: Connection, rollup: Rollup, day: dt.date) -> list[str]:
    """Return the tables in which a day is being made again, or was when somebody died."""
    rows = connection.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})",
        prefix=table_prefix(rollup, day),
    )
    return [str(name) for (name,) in rows]


def drop(connection: Connection, table: str) -> None:
    """Drop a table if it is there; when it returns nothing uses it any more."""
    connection.command(f"DROP TABLE IF EXISTS {table} SYNC")


def _marks(connection: Connection, rollup: Rollup, day: dt.date) -> Marks:
    return read_marks(connection, [rollup.name], day, day)[rollup.name].get(day, NO_MARKS)


def _marks_after(connection: Connection, rollup: Rollup, day: dt.date, before: Marks) -> Marks:
    """Return the marks after an insert that follows `before` was answered; the same only where all such were lost."""
    now = _marks(connection, rollup, day)
    if now == before:
        connection.outwait_inserts(rollup.name)
        now = _marks(connection, rollup, day)
    return now


def _mark(
    connection: Connection,
    rollup: Rollup,
    day: dt.date,
    before: Marks,
    holder: str,
    generation: int,
    attempt: int,
    clock: Clock,
) -> None:
    place = Place(LOCK + holder, 0)
    token = before.token(day, attempt)
    step.mark(connection, rollup, rollup.name, day, {place: int(clock.now())}, generation, token)
