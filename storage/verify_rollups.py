"""What rollups hold against what the rows give that they were made from, day of arrival by day, hour by hour.

Figures of a day and the marks that say how far they go come out of one SELECT: it sees whole parts, and a part holds
both. Rows behind the marks are waiting; they are no difference.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from storage.rollups.figures import ROLLUPS, RollupName
from storage.rollups.marks import LOCK
from storage.verify import Ledger

Figure = int | Decimal
Figures = dict[str, Figure]

SUMS: Final[Mapping[RollupName, Mapping[str, str]]] = {
    name: {figure: what for figure, what in rollup.figures.items() if rollup.nothing[figure] == "0"}
    for name, rollup in ROLLUPS.items()
}
"""Rollup to those of its figures that can be compared exactly, each with what it is of rows `r`."""


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of events, [since, until) in Unix seconds, and the first day of arrival to look at."""

    since: int
    until: int
    first_day: dt.date


@dataclass(frozen=True, slots=True)
class RollupHour:
    """An hour of events that arrived on one day, where rows give other figures than a rollup holds.

    `figures` has only those that differ, as (of rows, of the rollup). `hour` is Unix time.
    """

    day: dt.date
    hour: int
    figures: dict[str, tuple[Figure, Figure]]


@dataclass(frozen=True, slots=True)
class RollupState:
    """What became of comparing one rollup.

    Attributes:
        table: the rollup.
        hours: how many hours (each of one day of arrival) were compared.
        differing: those that differ.
        waiting: rows that are in the store and, by its marks, not in the rollup yet.
        waiting_since: when the oldest of them arrived.
        waiting_days: days on which they arrived.
    """

    table: RollupName
    hours: int
    differing: tuple[RollupHour, ...]
    waiting: int
    waiting_since: dt.datetime | None
    waiting_days: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True)
class _Day:
    """What one day of arrival comes to: hours compared, those that differ, and rows behind the marks."""

    day: dt.date
    hours: int
    differing: tuple[RollupHour, ...]
    waiting: int
    waiting_since: dt.datetime | None


def compare(ledger: Ledger, table: RollupName, window: Window) -> RollupState:
    """Compare a rollup with the rows up to its own marks. Raises `StoreUnavailable` or `StoreRefused`."""
    days = [_compare_day(ledger, table, window, day) for day in _days(ledger, table, window)]
    since = [day.waiting_since for day in days if day.waiting_since is not None]
    return RollupState(
        table,
        hours=sum(day.hours for day in days),
        differing=tuple(hour for day in days for hour in day.differing),
        waiting=sum(day.waiting for day in days),
        waiting_since=min(since, default=None),
        waiting_days=tuple(day.day for day in days if day.waiting),
    )


def _days(ledger: Ledger, table: RollupName, window: Window) -> Iterator[dt.date]:
    rows = ledger.query(
        "SELECT DISTINCT day FROM (SELECT toDate(ingested_at) AS day FROM inferences GROUP BY day"  # noqa: S608 - names of our own
        f" UNION ALL SELECT ingested_on FROM {table} GROUP BY ingested_on)"
        " WHERE day >= {first_day:Date} ORDER BY day",
        first_day=window.first_day,
    )
    yield from (day for (day,) in rows)


def _compare_day(ledger: Ledger, table: RollupName, window: Window, day: dt.date) -> _Day:
    held, marks = _held(ledger, table, window, day)
    rows, waiting, since = _of_rows(ledger, table, window, day, marks)
    nothing: Figures = dict.fromkeys(SUMS[table], 0)
    differing = []
    for hour in sorted(held.keys() | rows.keys()):
        expected, found = rows.get(hour, nothing), held.get(hour, nothing)
        figures = {name: (expected[name], found[name]) for name in SUMS[table] if expected[name] != found[name]}
        if figures:
            differing.append(RollupHour(day, hour, figures))
    return _Day(day, len(held.keys() | rows.keys()), tuple(differing), waiting, since)


def _held(
    ledger: Ledger, table: RollupName, window: Window, day: dt.date
) -> tuple[dict[int, Figures], dict[tuple[str, int], int]]:
    """Return figures by hour, and by topic id and partition the first offset that is not in them."""
    sums = ", ".join(f"sum(t.{name}) AS {name}" for name in SUMS[table])
    rows = ledger.query(
        f"SELECT t.environment = '' AS is_mark, if(is_mark, 0, {_hour('t.bucket')}) AS hour, t.mark_topic_id,"  # noqa: S608 - names of our own
        f" t.mark_partition, max(t.mark_offset), {sums} FROM {table} AS t WHERE t.ingested_on = {{day:Date}}"
        " AND (is_mark OR (t.bucket >= toDateTime({since:UInt32}) AND t.bucket < toDateTime({until:UInt32})))"
        " GROUP BY is_mark, hour, t.mark_topic_id, t.mark_partition",
        day=day,
        since=window.since,
        until=window.until,
    )
    held: dict[int, Figures] = {}
    marks: dict[tuple[str, int], int] = {}
    for is_mark, hour, topic_id, partition, offset, *figures in rows:
        if not is_mark:
            held[int(hour)] = dict(zip(SUMS[table], figures, strict=True))
        elif not str(topic_id).startswith(LOCK):
            marks[str(topic_id), int(partition)] = int(offset) + 1
    return held, marks


def _of_rows(
    ledger: Ledger, table: RollupName, window: Window, day: dt.date, marks: Mapping[tuple[str, int], int]
) -> tuple[dict[int, Figures], int, dt.datetime | None]:
    """Return what rows before the marks give, by hour, and how many others there are and since when."""
    sums = ", ".join(f"{expression} AS {name}" for name, expression in SUMS[table].items())
    rows = ledger.query(
        "SELECT r.source_offset < transform(concat(r.source_topic_id, '/', toString(r.source_partition)),"  # noqa: S608 - names of our own
        " {places:Array(String)}, {ends:Array(UInt64)}, toUInt64(0)) AS counted,"
        f" {_hour('r.started_at')} AS hour, count(), toUnixTimestamp64Milli(min(r.ingested_at)), {sums}"
        f" FROM inferences AS r {ROLLUPS[table].joined} WHERE toDate(r.ingested_at) = {{day:Date}}"
        " AND r.started_at >= toDateTime({since:UInt32}) AND r.started_at < toDateTime({until:UInt32})"
        " GROUP BY counted, hour",
        # An empty array has no type that `transform` accepts.
        places=["", *(f"{topic_id}/{partition}" for topic_id, partition in marks)],
        ends=[0, *marks.values()],
        day=day,
        since=window.since,
        until=window.until,
    )
    counted = {int(hour): dict(zip(SUMS[table], figures, strict=True)) for is_in, hour, _, _, *figures in rows if is_in}
    others = [(int(count), int(arrived)) for is_in, _, count, arrived, *_ in rows if not is_in]
    since = dt.datetime.fromtimestamp(min(arrived for _, arrived in others) / 1000, dt.UTC) if others else None
    return counted, sum(count for count, _ in others), since


def _hour(column: str) -> str:
    return f"toUnixTimestamp(toStartOfHour(toDateTime({column}, 'UTC')))"
