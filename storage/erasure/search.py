"""Looking for a subject in every column of every table."""

from __future__ import annotations

from typing import Final

from storage.erasure.notes import Notes
from storage.erasure.report import Found
from storage.erasure.statements import Statements
from storage.erasure.tables import Column, Table

_UUID: Final = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_HOLD_IDS: Final = frozenset({"user", "who", "conversation_id"})
"""Columns whose whole value is an id: there also an id that might be an ordinary word is meant."""


def search(statements: Statements, notes: Notes, found: tuple[Table, ...]) -> list[Found]:
    """Return, for every table, how many rows it has and in how many of them the subject stands, in which columns."""
    return [_search_table(statements, notes, table) for table in found]


def _search_table(statements: Statements, notes: Notes, table: Table) -> Found:
    conditions = {column.name: stands_in(column, notes) for column in table.columns}
    counts = ", ".join(f"countIf({condition})" for condition in conditions.values())
    anywhere = " OR ".join(f"({condition})" for condition in conditions.values())
    row = statements.rows(f"SELECT count(), countIf({anywhere}), {counts} FROM {table.name}")[0]  # noqa: S608 - names of our own
    where = [f"{name} ({count})" for name, count in zip(conditions, row[2:], strict=True) if count]
    return Found(f"table {table.name}", int(row[0]), "rows", int(row[1]), ", ".join(where))


def stands_in(column: Column, notes: Notes) -> str:
    """Return SQL: whether the subject stands in a column: its events, its ids, or text that mentions it."""
    name = f"`{column.name}`"
    match column.shape:
        case "uuid":
            return f"ifNull({name} IN {notes.events}, 0)"
        case "uuids":
            return f"arrayExists(one -> one IN {notes.events}, {name})"
        case "texts":
            return f"arrayExists(one -> {_in_text('one', notes)}, {name})"
        case "map":
            values = f"arrayConcat(mapKeys({name}), mapValues({name}))"
            return f"arrayExists(one -> {_in_text('one', notes)}, {values})"
        case "text":
            conditions = [_in_text(name, notes)]
            if column.name in _HOLD_IDS:
                conditions.append(f"({name} != '' AND {name} IN {notes.ids})")
            if column.name == "response_id":
                conditions.append(f"({name} != '' AND {name} IN {notes.responses})")
            return f"({' OR '.join(conditions)})"


def mentions(column: Column, notes: Notes, number: int) -> str:
    """Return SQL: whether one pattern fits a text in a column."""
    name, pattern = f"`{column.name}`", notes.pattern(number)
    match column.shape:
        case "texts":
            return f"arrayExists(one -> match(one, {pattern}), {name})"
        case "map":
            return f"arrayExists(one -> match(one, {pattern}), arrayConcat(mapKeys({name}), mapValues({name})))"
        case _:
            return f"match({name}, {pattern})"


def _in_text(text: str, notes: Notes) -> str:
    ids = f"extractAll(toString({text}), '{_UUID}')"
    conditions = [f"match({text}, {notes.pattern(number)})" for number in notes.patterns]
    conditions.append(f"arrayExists(id -> toUUIDOrZero(id) IN {notes.events}, {ids})")
    return f"({' OR '.join(conditions)})"
