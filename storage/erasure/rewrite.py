"""The statements that remove a subject from tables: all of them can run twice, and beside inserts.

A mutation touches what is in the table when it begins; what is inserted meanwhile is found by the next round. Figures,
times and positions stay: rollups count them, and exactly-once rests on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from storage.erasure.notes import Notes
from storage.erasure.search import mentions
from storage.erasure.statements import Statements
from storage.erasure.tables import ROLLUPS, Column, Table

ERASED: Final = "<ERASED>"
"""What stands where a text named the subject."""

FLAG: Final = "erased"
"""Flag of rows whose text and ids are gone."""

EMPTIED: Final = (
    *("user", "trace_id", "span_id", "parent_span_id", "conversation_id", "response_id"),
    *("parameters", "error_message", "input_messages", "output_messages", "input_sha256", "output_sha256", "tensors"),
)
"""Columns of an inference that say who or what."""

Alive = Callable[[], None]


def erase_references(statements: Statements, notes: Notes, alive: Alive) -> None:
    """Remove what refers to the noted events or was said by the subject: feedback, embeddings, detections."""
    said = f"(who != '' AND who IN {notes.ids})"
    rated = f"(ifNull(event_id IN {notes.events}, 0) OR (response_id != '' AND response_id IN {notes.responses}))"
    replaced = f"if(ifNull(event_id IN {notes.events}, 0), {notes.replacement('assumeNotNull(event_id)')}, event_id)"
    statements.mutate(
        "feedback",
        f"ALTER TABLE {statements.altered('feedback')} UPDATE comment = '', who = '',"
        f" response_id = if({rated}, '', response_id), event_id = {replaced} WHERE {said} OR {rated}",
        alive,
    )
    statements.mutate(
        "embeddings", f"ALTER TABLE {statements.altered('embeddings')} DELETE WHERE event_id IN {notes.events}", alive
    )
    statements.mutate(
        "detections",
        f"ALTER TABLE {statements.altered('detections')} UPDATE"
        f" event_ids = arrayFilter(one -> one NOT IN {notes.events}, event_ids)"
        f" WHERE arrayExists(one -> one IN {notes.events}, event_ids)",
        alive,
    )


def erase_mentions(statements: Statements, notes: Notes, found: tuple[Table, ...], alive: Alive) -> None:
    """Replace the subject's ids in every text that names them, whoever's text it is."""
    for table in (table for table in found if table.name not in ROLLUPS):
        for column, number in _mentioning(statements, notes, table):
            condition = mentions(column, notes, number)
            change = f"`{column.name}` = {_without(column, notes.pattern(number))}"
            target = statements.altered(table.name)
            statements.mutate(table.name, f"ALTER TABLE {target} UPDATE {change} WHERE {condition}", alive)


def erase_rows(statements: Statements, notes: Notes, alive: Alive) -> None:
    """Empty the noted events' rows of everything but figures, labels and positions, and flag them."""
    emptied = ", ".join(f"`{column}` = ''" for column in EMPTIED)
    statements.mutate(
        "inferences",
        f"ALTER TABLE {statements.altered('inferences')} UPDATE event_id = {notes.replacement('event_id')}, {emptied},"
        " attributes = CAST(map(), 'Map(LowCardinality(String), String)'),"
        f" flags = arrayDistinct(arrayPushBack(flags, '{FLAG}')) WHERE event_id IN {notes.events}",
        alive,
    )


def _mentioning(statements: Statements, notes: Notes, table: Table) -> list[tuple[Column, int]]:
    """Return the columns in which patterns fit, found in one pass over the table."""
    texts = [column for column in table.columns if not column.fixed and column.shape not in ("uuid", "uuids")]
    places = [(column, number) for column in texts for number in notes.patterns]
    if not places:
        return []
    counts = ", ".join(f"countIf({mentions(column, notes, number)})" for column, number in places)
    row = statements.rows(f"SELECT {counts} FROM {table.name}")[0]  # noqa: S608 - names of our own
    return [place for place, count in zip(places, row, strict=True) if count]


def _without(column: Column, pattern: str) -> str:
    name = f"`{column.name}`"
    string = "'String'"

    def clean(text: str) -> str:
        return f"replaceRegexpAll(CAST({text}, {string}), {pattern}, '\\\\1{ERASED}')"

    match column.shape:
        case "texts":
            changed = f"arrayMap(one -> {clean('one')}, {name})"
        case "map":
            changed = f"mapApply((key, value) -> ({clean('key')}, {clean('value')}), {name})"
        case _:
            changed = clean(name)
    return f"CAST({changed}, '{column.type}')"
