"""Counting Kafka for a verification: the same places as the enrich step sees, in ranges of bounded number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.enrich.decode import MOST_EVENTS, SourceRecord, decode
from processors.verify import count
from processors.verify.count import Range, RangeCounter, lines_of
from processors.verify.fingerprint import MODULUS, fingerprint
from tests.unit.processors.makers import event, record

GOOD = record(event()).value or b""
PREFIX = 0x1234_5678_9ABC_DEF0


def counted(records: Sequence[tuple[int, float | None, bytes | None]], first: int, end: int) -> list[Range]:
    counter = RangeCounter(0, first, PREFIX)
    for each in records:
        counter.add(*each)
    return counter.finished(end)


@given(st.lists(st.sampled_from([GOOD, b"", b"  ", b"\t\r", b"{}", b"\xff\xfe", b"null"]), max_size=12))
def test_a_record_has_the_places_that_the_enrich_step_gives_events_and_dead_letters(lines: list[bytes]) -> None:
    value = b"\n".join(lines)
    decoded = decode([SourceRecord(0, 0, value)])
    places = [decoded.position(place).index for place in range(len(decoded.events))]
    assert lines_of(value) == sorted(places + [letter.position.index for letter in decoded.dead])


@pytest.mark.parametrize("value", [None, b"", b"\n \n", b"\n" * MOST_EVENTS])
def test_a_record_that_is_set_apart_as_a_whole_is_one_place(value: bytes | None) -> None:
    assert lines_of(value) == [letter.position.index for letter in decode([SourceRecord(0, 0, value)]).dead] == [0]


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.one_of(st.none(), st.integers(0, 50_000)), st.integers(1, 3)), max_size=40
    ),
    st.integers(0, 5),
)
def test_ranges_leave_no_gap_and_count_everything_once(steps: list[tuple[int, int | None, int]], first: int) -> None:
    records, offset = [], first
    for skipped, at, lines in steps:
        records.append((offset, at, b"\n".join([b"x"] * lines)))
        offset += skipped
    ranges = counted(records, first, offset)
    ends = [first, *(each.end for each in ranges)]
    assert [each.first for each in ranges] == ends[:-1]
    assert ends[-1] == offset
    assert sum(each.records or 0 for each in ranges) == len(steps)
    assert sum(each.events for each in ranges) == sum(lines for *_, lines in steps)
    offsets = [at for at, _, value in records for _ in lines_of(value)]
    indexes = [line for *_, value in records for line in lines_of(value)]
    whole = fingerprint(PREFIX, np.array(offsets, np.uint64), np.array(indexes, np.uint64))
    assert sum(each.fingerprint for each in ranges) % MODULUS == whole


def test_a_range_ends_with_its_hour() -> None:
    ranges = counted([(0, 3599.0, b"x"), (1, 3600.0, b"x"), (2, 7199.9, b"x"), (3, None, b"x")], 0, 4)
    assert [(each.first, each.end, each.hour) for each in ranges] == [(0, 1, 0), (1, 3, 3600), (3, 4, None)]


def test_a_range_ends_after_so_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "RANGE_EVENTS", 4)
    ranges = counted([(offset, 0.0, b"x\nx\nx") for offset in range(5)], 0, 5)
    assert [(each.first, each.end) for each in ranges] == [(0, 2), (2, 4), (4, 5)]


def test_hours_that_come_and_go_do_not_make_ranges_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "RANGES_BY_HOUR", 10)
    monkeypatch.setattr(count, "FEWEST_RECORDS", 50)
    ranges = counted([(offset, 3600.0 * (offset % 2), b"x") for offset in range(1_010)], 0, 1_010)
    assert len(ranges) <= 10 + 1_000 // 50 + 1
    assert sum(each.events for each in ranges) == 1_010


def test_what_retention_took_away_is_a_range_of_its_own() -> None:
    counter = RangeCounter(0, 0, PREFIX)
    counter.add(0, 0.0, b"x")
    counter.removed(1, 10)
    counter.add(10, 0.0, b"x")
    assert [(each.first, each.end, each.records) for each in counter.finished(11)] == [
        (0, 1, 1),
        (1, 10, None),
        (10, 11, 1),
    ]


def test_nothing_to_count_is_no_range() -> None:
    assert RangeCounter(0, 7, PREFIX).finished(7) == []


def test_offsets_without_a_record_are_a_range_without_events() -> None:
    assert [(each.records, each.events, each.fingerprint) for each in counted([], 3, 9)] == [(0, 0, 0)]


@given(st.lists(st.tuples(st.integers(0, 2**63), st.integers(0, 2**32)), min_size=1, max_size=20, unique=True))
def test_a_fingerprint_is_of_a_multiset(places: list[tuple[int, int]]) -> None:
    offsets, lines = (np.array(part, np.uint64) for part in zip(*places, strict=True))
    whole = fingerprint(PREFIX, offsets, lines)
    assert whole == fingerprint(PREFIX, offsets[::-1], lines[::-1])
    assert whole != fingerprint(PREFIX, offsets[1:], lines[1:])
    assert whole != fingerprint(PREFIX, np.append(offsets, offsets[0]), np.append(lines, lines[0]))
    assert whole != fingerprint(PREFIX + 1, offsets, lines)
