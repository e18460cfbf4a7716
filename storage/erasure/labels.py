"""Labels of rollups that name the subject: a team, a service or a prompt called like a person.

Labels are in the sorting key, so no mutation changes them. The day is made again from its rows, of which the labels are
gone by then. Days whose rows have expired are not added to any more: those figures are copied with other labels.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Final

from inferwatch.clock import Clock
from storage.client import StoreSettings
from storage.erasure.notes import Notes
from storage.erasure.rewrite import ERASED, Alive
from storage.erasure.search import mentions
from storage.erasure.statements import Statements
from storage.erasure.tables import ROLLUPS, Column, Table
from storage.errors import DayExpired
from storage.rollups import Rollups

_NAMES: Final = frozenset({"service", "team", "prompt_name", "prompt_version", "model_version"})
_COPY: Final = "erased_"


def erase_labels(
    store: StoreSettings, statements: Statements, notes: Notes, found: tuple[Table, ...], clock: Clock, alive: Alive
) -> None:
    """Replace labels that name the subject in every rollup; figures stay what they are.

    Raises:
        RebuildOvertaken: somebody else makes the same day again.
    """
    _drop_left_over(statements)
    if not notes.patterns:
        return
    for table in (table for table in found if table.name in ROLLUPS):
        for day in _days(statements, notes, table):
            alive()
            rollups = Rollups(store, clock)
            try:
                rollups.rebuild(day)
            except DayExpired:
                _copy(statements, notes, table, day)
            finally:
                rollups.close()


def _days(statements: Statements, notes: Notes, table: Table) -> list[dt.date]:
    names = [column for column in table.columns if column.name in _NAMES]
    condition = " OR ".join(mentions(column, notes, number) for column in names for number in notes.patterns)
    rows = statements.rows(f"SELECT DISTINCT ingested_on FROM {table.name} WHERE {condition} ORDER BY 1")  # noqa: S608 - ours
    return [row[0] for row in rows]


def _copy(statements: Statements, notes: Notes, table: Table, day: dt.date) -> None:
    copy = f"{_COPY}{table.name}_{secrets.token_hex(6)}"
    changed = ", ".join(
        f"{_renamed(column, notes)} AS {column.name}" for column in table.columns if column.name in _NAMES
    )
    statements.command(f"CREATE TABLE {copy} AS {table.name}")
    statements.command(
        f"INSERT INTO {copy} SELECT * REPLACE({changed}) FROM {table.name} WHERE ingested_on = {{day:Date}}",  # noqa: S608 - ours
        day=day,
    )
    statements.command(f"ALTER TABLE {table.name} REPLACE PARTITION '{day.isoformat()}' FROM {copy}")
    statements.command(f"DROP TABLE {copy} SYNC")


def _renamed(column: Column, notes: Notes) -> str:
    text = f"CAST({column.name}, 'String')"
    for number in notes.patterns:
        text = f"replaceRegexpAll({text}, {notes.pattern(number)}, '\\\\1{ERASED}')"
    return f"CAST({text}, '{column.type}')"


def _drop_left_over(statements: Statements) -> None:
    rows = statements.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})",
        prefix=_COPY,
    )
    for (name,) in rows:
        statements.command(f"DROP TABLE IF EXISTS {name} SYNC")
