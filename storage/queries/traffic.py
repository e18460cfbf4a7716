"""How many, how fast, how many tokens, at what cost: in total, over time, by model and the like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from storage.queries.figures import LATENCIES, OF_PARTS, OF_ROWS, SUMS, parts
from storage.queries.reader import Reader
from storage.queries.scope import ANY, Filters, TimeRange, from_micros, micros
from storage.queries.statement import Where, answers_all, of_inferences, select
from storage.queries.tiles import fits, tiles

Dimension = Literal[
    "environment", "model", "model_version", "service", "team", "prompt_name", "prompt_version", "source", "status"
]

MOST_POINTS: Final = 5_000
MOST_GROUPS: Final = 1_000

_AT: Final = "intDiv(toInt64(toUnixTimestamp({time})), {step:Int64}) * {step:Int64}"


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in seconds, by t-digest (Dunning, 2019); None where nothing was measured."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Figures of a set of inferences. `cost` sums what has a price, in US dollars; it is None where nothing has one."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    requests_without_cost: int = 0
    requests_with_pii: int = 0
    duration: Latency = Latency()
    time_to_first_token: Latency = Latency()
    time_per_output_token: Latency = Latency()

    @property
    def ok(self) -> int:
        """Requests that neither failed nor were cancelled."""
        return self.requests - self.errors - self.cancelled

    @property
    def error_share(self) -> float | None:
        """Errors among requests, 0 to 1; None without requests."""
        return self.errors / self.requests if self.requests else None

    @property
    def share_without_cost(self) -> float | None:
        """Requests of unknown cost among requests, 0 to 1; None without requests."""
        return self.requests_without_cost / self.requests if self.requests else None

    @property
    def share_with_pii(self) -> float | None:
        """Requests in which PII was found among requests, 0 to 1; None without requests."""
        return self.requests_with_pii / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Point:
    """Traffic of one step that starts at `at`."""

    at: datetime
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Group:
    """Traffic of one value of a dimension."""

    name: str
    traffic: Traffic


def totals(reader: Reader, range: TimeRange, filters: Filters = ANY) -> Traffic:
    """Return the traffic of the whole range."""
    return _traffic(_rows(reader, range, filters)[0])


def series(reader: Reader, range: TimeRange, step: timedelta, filters: Filters = ANY) -> list[Point]:
    """Return the traffic of every step of the range, oldest first; steps without traffic are there, with zeros.

    It adds up to `totals` where the range lies on whole steps, as `TimeRange.last` makes it.

    Raises:
        ValueError: a step that is not whole seconds, or more than `MOST_POINTS` of them.
    """
    if step < timedelta(seconds=1) or step % timedelta(seconds=1):
        raise ValueError(f"A step must be whole seconds, not {step}")
    if range.seconds / step.total_seconds() > MOST_POINTS:
        raise ValueError(f"{range.start} to {range.end} is more than {MOST_POINTS} steps of {step}; take a longer step")
    rows = _rows(reader, range, filters, "at", _AT, step)
    found = {from_micros(row["at"] * 1_000_000): _traffic(row) for row in rows}
    return [Point(at, found.get(at, Traffic())) for at in range.steps(step)]


def breakdown(reader: Reader, range: TimeRange, dimension: Dimension, filters: Filters = ANY) -> list[Group]:
    """Return the traffic of each value of a dimension, most requests first, at most `MOST_GROUPS`.

    Raises:
        ValueError: no such dimension.
    """
    if dimension not in get_args(Dimension):
        raise ValueError(f"No dimension {dimension!r}; there are {', '.join(get_args(Dimension))}")
    rest = f"ORDER BY requests DESC, name LIMIT {MOST_GROUPS}"
    rows = _rows(reader, range, filters, "name", f"t.{dimension}", rest=rest)
    return [Group(row["name"], _traffic(row)) for row in rows]


def _rows(
    reader: Reader,
    range: TimeRange,
    filters: Filters,
    group: str = "",
    by: str = "",
    step: timedelta | None = None,
    rest: str = "",
) -> list[dict[str, Any]]:
    """Return figures as they are called in `Traffic`, for each value of `by`, named `group`, where that is given.

    In `by`, `{time}` stands for the time of a row and `{step:Int64}` for the step's seconds.
    """
    where = Where() if step is None else Where().bind(step=micros(step) // 1_000_000)
    rest = f"GROUP BY {group} {rest}" if group else rest
    if answers_all(filters) and fits(range, step):
        source = parts(tiles(range, step, reader.kept(range.start)), filters, group, by, where)
        columns = ({group: f"t.{group}"} if group else {}) | OF_PARTS
        return reader.rows(select(columns, source, None, rest), where.parameters)
    columns = ({group: by.replace("{time}", "t.started_at")} if group else {}) | OF_ROWS
    conditions = of_inferences(range, filters).bind(**where.parameters)
    return reader.rows(select(columns, "inferences", conditions, rest), conditions.parameters)


def _traffic(row: Mapping[str, Any]) -> Traffic:
    known = row["requests"] == 0 or row["requests_without_cost"] < row["requests"]
    figures: dict[str, Any] = {name: row[name] for name in SUMS}
    for name in LATENCIES:
        figures[name] = Latency(*(_known(value) for value in row[name]))
    return Traffic(**figures | {"cost": Decimal(row["cost"]) if known else None})


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
