"""SELECT statements from this package's own words; whatever a person chose is bound, never written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from storage.queries.scope import Filters, TimeRange, micros, to_micros

CLOCK_SKEW: Final = timedelta(days=1)
"""How far an event's own time may lie after its arrival. Lets ClickHouse skip days of `inferences` that came before."""

ROLLUP: Final = timedelta(minutes=1)
ROLLUP_COLUMNS: Final = ("environment", "model", "model_version", "service", "team", "prompt_name", "prompt_version")
COLUMNS: Final = (*ROLLUP_COLUMNS, "source", "status", "user", "trace_id", "conversation_id")

_FROM: Final = "fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
_TO: Final = "fromUnixTimestamp64Micro({end:Int64}, 'UTC')"
_PART: Final = (
    "concat(JSONExtractString(part, 'content'), ' ', JSONExtractString(part, 'name'), ' ',"
    " JSONExtractRaw(part, 'arguments'), ' ', JSONExtractRaw(part, 'response'))"
)


class Where:
    """Conditions that all hold, and the values bound to them."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.parameters: dict[str, Any] = {}

    def add(self, condition: str, **parameters: Any) -> Where:
        """Add a condition and the values of its places."""
        self.conditions.append(condition)
        self.parameters.update(parameters)
        return self

    def equal(self, filters: Filters, columns: tuple[str, ...]) -> Where:
        """Add the conditions of those columns that the filters name."""
        for column in columns:
            value = getattr(filters, column)
            if value is not None:
                self.add(f"t.{column} = {{{column}:String}}", **{column: value})
        return self

    def between(self, column: str, range: TimeRange) -> Where:
        """Add that a time column lies in the range."""
        condition = f"t.{column} >= {_FROM} AND t.{column} < {_TO}"
        return self.add(condition, start=to_micros(range.start), end=to_micros(range.end))


def of_inferences(range: TimeRange, filters: Filters) -> Where:
    """Return the conditions on `inferences`."""
    where = Where().between("started_at", range).equal(filters, COLUMNS)
    arrived = to_micros(range.start) - micros(CLOCK_SKEW)
    where.add("t.ingested_at >= fromUnixTimestamp64Micro({arrived:Int64}, 'UTC')", arrived=arrived)
    if filters.pii_type is not None:
        where.add("has(t.pii.entity_type, {pii_type:String})", pii_type=filters.pii_type)
    if filters.with_pii:
        where.add("notEmpty(t.pii)")
    if filters.text:
        # The raw JSON is looked at first because that is cheap; only then are the texts taken out of it, so that the
        # word "content" does not find every message.
        escaped = json.dumps(filters.text, ensure_ascii=False)[1:-1]
        where.add(
            f"({_has_text('t.input_messages')} OR {_has_text('t.output_messages')}"
            " OR positionCaseInsensitiveUTF8(t.error_message, {text:String}) > 0)",
            text=filters.text,
            escaped=escaped,
        )
    return where


def of_rollup(range: TimeRange, filters: Filters) -> Where:
    """Return the conditions on `metrics_1m`; only right where `fits_rollup`."""
    return Where().between("minute", range).equal(filters, ROLLUP_COLUMNS)


def fits_rollup(range: TimeRange, filters: Filters, step: timedelta = ROLLUP) -> bool:
    """Tell whether minutes answer exactly: whole minutes, and filters on nothing that the rollup has lost."""
    kept = {name: getattr(filters, name) for name in ROLLUP_COLUMNS}
    return range.on_whole(ROLLUP) and filters == Filters(**kept) and step % ROLLUP == timedelta(0)


def of_model(range: TimeRange | None, filters: Filters) -> Where:
    """Return the conditions on tables that know only environment, model and `at`."""
    where = Where().equal(filters, ("environment", "model"))
    return where if range is None else where.between("at", range)


def select(columns: Mapping[str, str], source: str, where: Where | None = None, rest: str = "") -> str:
    """Return a SELECT of expressions by their names from `source`, which the expressions call `t`.

    Expressions name their columns with `t.` because ClickHouse takes a bare name for the result's column.
    """
    listed = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    conditions = ("WHERE", " AND ".join(where.conditions)) if where is not None and where.conditions else ()
    return " ".join(("SELECT", listed, "FROM", source, "AS t", *conditions, rest)).strip()


def latest(columns: Mapping[str, str], table: str, where: Where, key: str, rest: str, newest: str = "") -> str:
    """Return a SELECT of the last row of each `key`.

    Tables that replace rows do so some time after they are written; until then both are there.
    """
    one = f"ORDER BY {newest}t.written_at DESC LIMIT 1 BY t.{key}"
    return select({name: f"t.{name}" for name in columns}, f"({select(columns, table, where, one)})", None, rest)


def _has_text(column: str) -> str:
    return (
        "(positionCaseInsensitiveUTF8(" + column + ", {escaped:String}) > 0 AND arrayExists(message -> arrayExists("
        "part -> positionCaseInsensitiveUTF8(" + _PART + ", {text:String}) > 0, JSONExtractArrayRaw(message, 'parts')),"
        " JSONExtractArrayRaw(" + column + ")))"
    )
