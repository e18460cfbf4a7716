"""How a batch is cut: into parts that memory has room for, and into blocks of one partition each."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.enrich import worker
from processors.enrich.decode import MOST_EVENTS, SourceRecord
from processors.enrich.rows import rows_of
from processors.enrich.worker import PART_BYTES, PART_EVENTS, by_partition, parts
from storage.sink import MOST_ROWS, Columns
from tests.unit.processors.makers import NOW, event, pipeline, record

POSITIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99)), unique=True, max_size=12)
GOOD = record(event()).value or b""


def values(rows: Columns, name: str) -> list[Any]:
    column = rows[name]
    assert isinstance(column, pa.Array)
    return list(column.to_pylist())


def test_a_part_is_never_more_rows_than_one_atomic_insert() -> None:
    assert max(PART_EVENTS, MOST_EVENTS) <= MOST_ROWS


def test_parts_are_bounded_by_events_and_in_order() -> None:
    many = b"\n" * (PART_EVENTS // 2)
    records = [SourceRecord(0, offset, value) for offset, value in enumerate([b"a", None, many, many, b"a", many])]
    found = list(parts(records))
    assert [one for part in found for one in part] == records
    assert [[one.offset for one in part] for part in found] == [[0, 1, 2], [3, 4], [5]]
    assert list(parts([])) == []


def test_parts_are_bounded_by_bytes() -> None:
    large = b"x" * (PART_BYTES // 2)
    values = [large, large, b"x", large + b"x" + large, b"x"]
    found = parts([SourceRecord(0, offset, value) for offset, value in enumerate(values)])
    assert [[one.offset for one in part] for part in found] == [[0, 1], [2], [3], [4]]


@given(POSITIONS, st.data(), st.integers(1, 6), st.integers(0, 8))
@example([(1, 5), (0, 9), (1, 4)], None, 1, 0)
def test_parts_keep_each_record_once_in_order_within_bounds(
    positions: list[tuple[int, int]], data: st.DataObject | None, most_events: int, most_bytes: int
) -> None:
    some = st.none() | st.sampled_from([b"", b"a", b"\n\n", b"aaaa\n"])
    records = [SourceRecord(*position, data.draw(some) if data else b"a") for position in positions]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worker, "PART_EVENTS", most_events)
        patched.setattr(worker, "PART_BYTES", most_bytes)
        found = list(parts(records))
    together = [one for part in found for one in part]
    assert together == sorted(records, key=lambda one: (one.partition, one.offset))
    assert all(found)
    for part in found:
        lines = sum((one.value or b"").count(b"\n") + 1 for one in part)
        size = sum(len(one.value or b"") for one in part)
        assert len(part) == 1 or (lines <= most_events and size <= most_bytes)


@settings(max_examples=60)
@given(POSITIONS.filter(bool), st.data())
def test_blocks_are_whole_partitions_in_order(positions: list[tuple[int, int]], data: st.DataObject) -> None:
    some = st.sampled_from([GOOD, GOOD + b"\n" + GOOD, b"junk", b""])
    records = [SourceRecord(*position, data.draw(some)) for position in positions]
    (part,) = parts(records)
    batch = pipeline().enrich(part, NOW)
    expected = [
        (one.partition, one.offset, index) for one in part for index in range((one.value or b"").count(b'"event_id"'))
    ]
    if not expected:
        assert batch.size == 0
        return
    blocks = list(by_partition(batch, rows_of(batch)))
    assert [partition for partition, _ in blocks] == [partition for partition, _ in groupby(one[0] for one in expected)]
    assert [
        (partition, offset, index)
        for partition, rows in blocks
        for offset, index in zip(values(rows, "source_offset"), values(rows, "source_index"), strict=True)
    ] == expected
    assert all(len(set(map(len, rows.values()))) == 1 for _, rows in blocks)
    ids = [one for _, rows in blocks for one in values(rows, "event_id")]
    assert ids == rows_of(batch)["event_id"].to_pylist()
