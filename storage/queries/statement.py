"""SELECT statements from this package's own words; whatever a person chose is bound, never written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from storage.queries.scope import Filters, TimeRange, micros, to_micros
from storage.queries.text import has_text

CLOCK_SKEW: Final = timedelta(days=1)
"""How far an event's own time may lie after its arrival. Lets ClickHouse skip days of arrival that came before."""

ROLLUP_COLUMNS: Final = (
    *("environment", "model", "model_version", "service", "team", "prompt_name", "prompt_version"),
    *("source", "status"),
)
COLUMNS: Final = (*ROLLUP_COLUMNS, "user", "trace_id", "conversation_id")


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

    def bind(self, **parameters: Any) -> Where:
        """Add values of places that are not in conditions."""
        self.parameters.update(parameters)
        return self

    def equal(self, filters: Filters, columns: tuple[str, ...]) -> Where:
        """Add the conditions of those columns that the filters name."""
        for column in columns:
            value = getattr(filters, column)
            if value is not None:
                self.add(f"t.{column} = {{{column}:String}}", **{column: value})
        return self

    def between(self, expression: str, range: TimeRange, tag: str = "") -> Where:
        """Add that a time lies in the range; `tag` tells this range's places from another's in the same statement."""
        return self.add(
            f"{expression} >= fromUnixTimestamp64Micro({{start{tag}:Int64}}, 'UTC')"
            f" AND {expression} < fromUnixTimestamp64Micro({{end{tag}:Int64}}, 'UTC')",
            **{f"start{tag}": to_micros(range.start), f"end{tag}": to_micros(range.end)},
        )


def of_inferences(range: TimeRange, filters: Filters, tag: str = "") -> Where:
    """Return the conditions on `inferences`."""
    where = Where().between("t.started_at", range, tag).equal(filters, COLUMNS)
    arrived = to_micros(range.start) - micros(CLOCK_SKEW)
    where.add(f"t.ingested_at >= fromUnixTimestamp64Micro({{arrived{tag}:Int64}}, 'UTC')", **{f"arrived{tag}": arrived})
    if filters.pii_type is not None:
        where.add("has(t.pii.entity_type, {pii_type:String})", pii_type=filters.pii_type)
    if filters.with_pii:
        where.add("notEmpty(t.pii)")
    if filters.text:
        for condition, parameters in has_text(filters.text):
            where.add(condition, **parameters)
    return where


def of_rollup(
    time: str, range: TimeRange, filters: Filters, columns: tuple[str, ...] = ROLLUP_COLUMNS, tag: str = ""
) -> Where:
    """Return the conditions on a rollup whose rows start at `time`; only right for `answers_all(filters, columns)`."""
    # Rows without an environment only say how far the rollup is.
    where = Where().add("t.environment != ''").between(time, range, tag).equal(filters, columns)
    arrived = to_micros(range.start - CLOCK_SKEW) // 1_000_000
    return where.add(
        f"t.ingested_on >= toDate(fromUnixTimestamp({{arrived{tag}:Int64}}), 'UTC')", **{f"arrived{tag}": arrived}
    )


def answers_all(filters: Filters, columns: tuple[str, ...] = ROLLUP_COLUMNS) -> bool:
    """Tell whether the filters are on those columns alone."""
    return filters == Filters(**{name: getattr(filters, name) for name in columns})


def of_model(range: TimeRange | None, filters: Filters) -> Where:
    """Return the conditions on tables that know only environment, model and `at`."""
    where = Where().equal(filters, ("environment", "model"))
    return where if range is None else where.between("t.at", range)


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
