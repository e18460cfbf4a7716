"""Which rows a step counts: every row in exactly one step, whatever the minutes in which they came."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from storage.rollups.ledger import Minute, next_span
from storage.rollups.marks import NO_MARKS, Marks, Place

DAY = dt.date(2026, 3, 1)
MIDNIGHT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
Row = tuple[int, int, int]
"""Partition, offset, minute of arrival."""


def minutes_of(rows: list[Row]) -> list[Minute]:
    """Return what the ledger says of rows."""
    groups: dict[tuple[int, int], list[int]] = {}
    for partition, offset, minute in rows:
        groups.setdefault((minute, partition), []).append(offset)
    return [
        Minute(MIDNIGHT + dt.timedelta(minutes=minute), partition, min(offsets), max(offsets), len(offsets))
        for (minute, partition), offsets in sorted(groups.items())
    ]


@st.composite
def stored(draw: st.DrawFn) -> list[Row]:
    """Return rows of a few partitions: offsets grow, with gaps; clocks of their writers may go back."""
    rows: list[Row] = []
    for partition in range(draw(st.integers(1, 3))):
        offset = draw(st.integers(0, 1_000_000))
        for _ in range(draw(st.integers(0, 12))):
            offset += draw(st.integers(1, 40))
            minute = draw(st.integers(0, 6))
            rows += [(partition, offset, minute)] * draw(st.integers(1, 3))
    return rows


@given(stored(), st.integers(1, 30))
def test_each_row_is_in_exactly_one_span(rows: list[Row], most_rows: int) -> None:
    minutes = minutes_of(rows)
    counted: dict[int, int] = {}
    found: list[Row] = []
    while span := next_span(DAY, "t", minutes, counted, most_rows):
        assert all(counted.get(partition, -1) == after < upto for partition, (after, upto) in span.offsets.items())
        found += [
            (partition, offset, minute)
            for partition, offset, minute in rows
            if partition in span.offsets and span.offsets[partition][0] < offset <= span.offsets[partition][1]
            if span.since <= MIDNIGHT + dt.timedelta(minutes=minute) < span.until
        ]
        counted |= {partition: upto for partition, (_, upto) in span.offsets.items()}
    assert sorted(found) == sorted(rows)


def test_a_span_is_bounded_also_where_one_minute_has_more() -> None:
    minutes = [Minute(MIDNIGHT, partition, 0, 999_999, 3_000_000) for partition in range(2)]
    span = next_span(DAY, "t", minutes, {}, 60_000)
    assert span is not None
    assert span.rows == 60_000
    assert span.offsets == {0: (-1, 9_999), 1: (-1, 9_999)}


def test_marks_are_told_apart_by_their_tokens() -> None:
    one = Marks({Place("a", 0): 5, Place("a", 1): 7})
    others = [
        NO_MARKS,
        Marks({Place("a", 0): 5}),
        Marks({Place("a", 0): 5, Place("b", 1): 7}),
        Marks(one.offsets, generation=1),
        Marks(one.offsets, holders={"x": 1}),
    ]
    assert one.token(DAY, 0) == Marks({Place("a", 1): 7, Place("a", 0): 5}).token(DAY, 0)
    assert len({other.token(DAY, 0) for other in [one, *others]} | {one.token(DAY, 1)}) == 7
    assert [marks.locked for marks in (one, others[3])] == [False, True]
