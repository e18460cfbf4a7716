"""Makes the rollups of one day of arrival again from its rows, while everything else goes on.

For each rollup:

1. Make an empty table like it, under a name of its own.
2. Count the day's rows into that, in steps, up to those that are stored now. This is the long part.
3. Lock the day (see `lock`): nobody adds to it any more.
4. Count what was stored meanwhile, and mark how far that goes: not less far than before, where rows were erased.
5. Put the day's partition in place of the one that is there: figures and marks at once, unlocked.
6. Drop the table.

Killed before 5, the day is as it was, and locked since 3 at most until the next step looks whether anybody is still at
it. Overtaken by somebody else, the table is gone, and 5 fails.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import re
import uuid
from collections.abc import Mapping
from typing import Final

from inferwatch.clock import Clock
from storage.connection import Connection
from storage.errors import DayExpired, RebuildOvertaken, StorageError, StoreRefused
from storage.rollups import lock, step
from storage.rollups.figures import ROLLUPS, Rollup
from storage.rollups.ledger import arrivals, next_span, stored_offsets
from storage.rollups.marks import Place

_UNKNOWN_TABLE: Final = 60
_TTL: Final = re.compile(r" TTL toDateTime\(ingested_at\) \+ toIntervalDay\((\d+)\)")


def rebuild(connection: Connection, day: dt.date, clock: Clock, most_rows: int) -> None:
    """Make all rollups of the rows that arrived on a day again, in steps of about `most_rows`. It can be repeated.

    Raises:
        DayExpired: rows of the day are, or may be, gone; their figures are all that is left of them.
        RebuildOvertaken: somebody else began the same.
        StoreUnavailable, StoreRefused: as any statement.
    """
    _refuse_expired(connection, day, clock)
    for rollup in ROLLUPS.values():
        for table in lock.again_tables(connection, rollup, day):
            lock.drop(connection, table)
        again = f"{lock.table_prefix(rollup, day)}{uuid.uuid4().hex[:12]}"
        try:
            _rebuild(connection, rollup, day, again, clock, most_rows)
        except StoreRefused as error:
            if error.code == _UNKNOWN_TABLE:
                raise RebuildOvertaken(rollup.name, day) from error
            raise
        finally:
            with contextlib.suppress(StorageError):  # the next rebuild of the day drops it
                lock.drop(connection, again)


def _rebuild(connection: Connection, rollup: Rollup, day: dt.date, again: str, clock: Clock, most_rows: int) -> None:
    connection.command(f"CREATE TABLE {again} AS {rollup.name}")
    counted = _count(connection, rollup, day, again, {}, most_rows)
    marks = lock.take(connection, rollup, day, again, clock)
    counted = _count(connection, rollup, day, again, counted, most_rows)
    places = counted.keys() | marks.offsets.keys()
    ends = {place: max(counted.get(place, -1), marks.offsets.get(place, -1)) for place in places}
    # A mark of no topic carries the generation where the day has no rows at all.
    step.mark(connection, rollup, again, day, {**ends, Place("", 0): 0}, marks.generation + 1, "marks")
    connection.command(f"ALTER TABLE {rollup.name} REPLACE PARTITION '{day}' FROM {again}")


def _count(
    connection: Connection, rollup: Rollup, day: dt.date, again: str, counted: Mapping[Place, int], most_rows: int
) -> dict[Place, int]:
    """Count what is stored now and not in `counted`; return how far that goes."""
    stored = stored_offsets(connection, day, day).get(day, {})
    for topic_id in sorted({place.topic_id for place in stored}):
        uptos = {place.partition: offset for place, offset in counted.items() if place.topic_id == topic_id}
        minutes = arrivals(connection, day, topic_id, uptos)
        for number in itertools.count():
            span = next_span(day, topic_id, minutes, uptos, most_rows)
            if span is None:
                break
            step.count(connection, rollup, again, span, 0, f"{topic_id}:{sorted(uptos.items())}:{number}")
            uptos |= {partition: upto for partition, (_, upto) in span.offsets.items()}
        counted = {**counted, **{Place(topic_id, partition): upto for partition, upto in uptos.items()}}
    return dict(counted)


def _refuse_expired(connection: Connection, day: dt.date, clock: Clock) -> None:
    rows = connection.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'inferences'"
    )
    kept = _TTL.search(str(rows[0][0])) if rows else None
    if kept is None:
        return
    first = dt.datetime.fromtimestamp(clock.now(), dt.UTC).date() - dt.timedelta(days=int(kept[1]))
    if day <= first:
        raise DayExpired(day, first)
