"""Days whose rollups hold other costs than the rows they were made from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from storage.mutations import Query

_TABLES: Final = ("metrics_1m", "metrics_1h")
_MOST_MARKS: Final = 1_000
"""In one statement; they are part of its text, of which servers read 256 KiB."""

_PLACE: Final = "concat({0}_topic_id, '/', toString({0}_partition), '/', toString({1}))"
_HELD: Final = (
    f"SELECT environment = '' AS is_mark, ingested_on, {_PLACE.format('mark', 'ingested_on')} AS place,"  # noqa: S608 - names of our own
    " max(mark_offset), sum(requests), sum(cost), sum(requests_without_cost) FROM {table}"
    " GROUP BY is_mark, ingested_on, place"
)
_OF_ROWS: Final = (
    "SELECT toDate(ingested_at) AS day, count(), sum(toDecimal128(ifNull(cost, 0), 9)), countIf(isNull(cost))"  # noqa: S608 - names of our own
    " FROM inferences WHERE toDate(ingested_at) IN %(days)s AND source_offset <"
    f" transform({_PLACE.format('source', 'toDate(ingested_at)')}, %(places)s, %(ends)s, toUInt64(0)) GROUP BY day"
)

Figures = tuple[int, Decimal, int]
"""Requests, their cost, and how many of them are of unknown cost."""


@dataclass(frozen=True, slots=True)
class StaleDays:
    """Days of arrival whose costs differ.

    Attributes:
        to_rebuild: those that can be made again from rows.
        incomplete: those with inferences of which the row is gone (its time to live is over): made again, their rollups
            would forget these.
    """

    to_rebuild: tuple[dt.date, ...]
    incomplete: tuple[dt.date, ...]


def stale_days(query: Query) -> StaleDays:
    """Compare each day's costs in the rollups with those of its rows, up to where the rollups' marks say they go.

    A rollup that holds fewer inferences than there are rows says nothing: minutes are kept for a shorter time.
    """
    differ: set[dt.date] = set()
    incomplete: set[dt.date] = set()
    for table in _TABLES:
        # One SELECT, because figures and the mark beside them are one part.
        in_rollup: dict[dt.date, Figures] = {}
        ends: dict[dt.date, dict[str, int]] = {}
        for is_mark, day, place, mark, requests, cost, unknown in query(_HELD.format(table=table), {}):
            if is_mark:
                ends.setdefault(day, {})[place] = mark + 1
            else:
                in_rollup[day] = (requests, cost, unknown)
        of_rows = _of_rows(query, {day: ends.get(day, {}) for day in in_rollup})
        for day in in_rollup.keys() & of_rows.keys():
            requests, rows = in_rollup[day][0], of_rows[day][0]
            if requests > rows:
                incomplete.add(day)
            elif requests == rows and in_rollup[day] != of_rows[day]:
                differ.add(day)
    return StaleDays(tuple(sorted(differ - incomplete)), tuple(sorted(incomplete)))


def _of_rows(query: Query, ends: Mapping[dt.date, Mapping[str, int]]) -> dict[dt.date, Figures]:
    """Return the figures of each day's rows, of each partition those before where its rollup ends."""
    found: dict[dt.date, Figures] = {}
    for days in _few_at_once(ends):
        marks = [mark for day in days for mark in ends[day].items()]
        bound = {"days": days, "places": [place for place, _ in marks], "ends": [end for _, end in marks]}
        found.update({day: (requests, cost, unknown) for day, requests, cost, unknown in query(_OF_ROWS, bound)})
    return found


def _few_at_once(ends: Mapping[dt.date, Mapping[str, int]]) -> Iterator[list[dt.date]]:
    days: list[dt.date] = []
    marks = 0
    for day, of_day in sorted(ends.items()):
        if not of_day:
            continue
        if days and marks + len(of_day) > _MOST_MARKS:
            yield days
            days, marks = [], 0
        days.append(day)
        marks += len(of_day)
    if days:
        yield days
