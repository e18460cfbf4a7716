"""Which tables and columns can hold a person, read from the server, so that a column added later is not forgotten."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from storage.erasure.statements import Statements

NOTES: Final = "erasures"
"""Table of what an erasure under way is about; its own partition is dropped at the end."""

ROLLUPS: Final = ("metrics_1m", "metrics_1h", "pii_hits")
_PASSED_OVER: Final = frozenset({NOTES, "schema_migrations"})
_KEPT: Final = frozenset({("audit_log", "actor")})
"""Who did what stays answerable."""

_TEXT: Final = re.compile(r"String|FixedString\(\d+\)")

Shape = Literal["text", "texts", "map", "uuid", "uuids"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can hold an id or a text; `fixed` ones are what rows are sorted by: no mutation changes them."""

    name: str
    type: str
    shape: Shape
    fixed: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its columns of that kind."""

    name: str
    columns: tuple[Column, ...]


def tables(statements: Statements) -> tuple[Table, ...]:
    """Return every table of the database that keeps rows, with the columns that can hold an id or a text."""
    rows = statements.rows(
        "SELECT c.table, c.name, c.type, c.is_in_sorting_key OR c.is_in_partition_key OR c.is_in_primary_key"
        " FROM system.columns AS c INNER JOIN system.tables AS t ON t.database = c.database AND t.name = c.table"
        " WHERE c.database = currentDatabase() AND t.engine LIKE '%MergeTree' ORDER BY c.table, c.position"
    )
    # Rows of all shards are looked at through the table above them.
    spread = {statements.stored(name): name for name in ("inferences", "feedback", "embeddings")}
    found: dict[str, list[Column]] = {}
    for table, name, kind, fixed in rows:
        shape = shape_of(kind)
        if shape is not None and table not in _PASSED_OVER and (table, name) not in _KEPT:
            found.setdefault(spread.get(table, table), []).append(Column(name, kind, shape, bool(fixed)))
    return tuple(Table(name, tuple(columns)) for name, columns in found.items())


def shape_of(kind: str) -> Shape | None:
    """Return what a ClickHouse type can hold, or None for numbers, times and states of aggregates."""
    bare = kind.replace(" ", "")
    for wrapper in ("SimpleAggregateFunction", "LowCardinality", "Nullable"):
        bare = re.sub(rf"{wrapper}\((?:\w+,)?([\w()]+)\)", r"\1", bare)
    if _TEXT.fullmatch(bare):
        return "text"
    if bare in ("Array(String)", "UUID", "Array(UUID)"):
        return {"Array(String)": "texts", "UUID": "uuid", "Array(UUID)": "uuids"}[bare]  # type: ignore[return-value]  # literals
    return "map" if bare == "Map(String,String)" else None
