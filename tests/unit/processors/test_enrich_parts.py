"""How a batch is cut: into chunks for the pipeline, and into parts for the store, of blocks of one partition each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferwatch import topics
from inferwatch.wire import encode_event
from processors.enrich import parts as module
from processors.enrich.decode import MOST_EVENTS, SourceRecord
from processors.enrich.enriched import Batch
from processors.enrich.parts import CHUNK_BYTES, PART_EVENTS, Part, chunks, joined, parts
from processors.enrich.rows import rows_of
from processors.records import Measurement, decode_records
from storage.sink import MOST_ROWS
from tests.unit.processors.makers import NOW, TOPIC_ID, event, pipeline, record

POSITIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99)), unique=True, max_size=12)
GOOD = record(event()).value or b""
SMALLEST_EVENT = len(encode_event(event(source="", request_model="m", started_at=1, duration=1)))
PIPELINE = pipeline()


def enrich(records: Sequence[SourceRecord]) -> Batch:
    return PIPELINE.enrich(records, NOW)


def made(records: Sequence[SourceRecord], keep_batches: bool = False) -> list[Part]:
    return list(parts(records, enrich, TOPIC_ID, keep_batches=keep_batches))


def listed(part: Part, name: str) -> list[tuple[int, Any]]:
    """Return the values of a column, each with its partition."""
    found = []
    for partition, rows in part.rows:
        column = rows[name]
        assert isinstance(column, pa.Array)
        found += [(partition, value) for value in column.to_pylist()]
    return found


def positions(part: Part) -> list[tuple[int, int, int]]:
    together = zip(listed(part, "source_offset"), listed(part, "source_index"), strict=True)
    return [(partition, offset, index) for (partition, offset), (_, index) in together]


def test_a_part_is_never_more_rows_than_one_atomic_insert() -> None:
    assert PART_EVENTS + max(MOST_EVENTS, CHUNK_BYTES // SMALLEST_EVENT) <= MOST_ROWS


def test_chunks_are_bounded_by_bytes_and_in_order() -> None:
    lengths = (6, None, 4, 11, 1)
    records = [SourceRecord(0, at, None if length is None else b"a" * length) for at, length in enumerate(lengths)]
    assert [[one.offset for one in chunk] for chunk in chunks(reversed(records), 10)] == [[0, 1, 2], [3], [4]]
    assert list(chunks([], 10)) == []


@given(POSITIONS, st.data(), st.integers(1, 8))
@example([(1, 5), (0, 9), (1, 4)], None, 1)
def test_chunks_keep_each_record_once_in_order_within_bounds(
    positions: list[tuple[int, int]], data: st.DataObject | None, most: int
) -> None:
    some = st.none() | st.sampled_from([b"", b"a", b"\n\n", b"aaaa\n"])
    records = [SourceRecord(*position, data.draw(some) if data else b"a") for position in positions]
    found = list(chunks(records, most))
    assert [one for chunk in found for one in chunk] == sorted(records, key=lambda one: (one.partition, one.offset))
    assert all(found)
    assert all(len(chunk) == 1 or sum(len(one.value or b"") for one in chunk) <= most for chunk in found)


@settings(max_examples=60, deadline=None)
@given(POSITIONS, st.data(), st.sampled_from([1, 1_000, 1 << 20]), st.integers(1, 6))
def test_parts_hold_each_event_once_in_order_as_blocks_of_whole_partitions(
    positions_: list[tuple[int, int]], data: st.DataObject, most_bytes: int, enough: int
) -> None:
    some = st.sampled_from([GOOD, GOOD + b"\n" + GOOD, b"junk", b"", GOOD + b"\njunk\njunk"])
    records = [SourceRecord(*position, data.draw(some)) for position in positions_]
    ordered = sorted(records, key=lambda one: (one.partition, one.offset))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "CHUNK_BYTES", most_bytes)
        patched.setattr(module, "PART_EVENTS", enough)
        found = made(records)
    expected = [
        (one.partition, one.offset, index)
        for one in ordered
        for index in range((one.value or b"").count(b'"event_id"'))
    ]
    assert [position for part in found for position in positions(part)] == expected
    for part in found:
        blocks = [partition for partition, _ in part.rows]
        assert blocks == [partition for partition, _ in groupby(blocks)]
        assert all(len(set(map(len, rows.values()))) == 1 for _, rows in part.rows)
    sent = [one for part in found for wave in part.measurements for one in wave]
    assert {one.topic for one in sent} <= {topics.MEASUREMENTS}
    told = [m.position for one in sent for m in decode_records(one.value, Measurement)]
    assert [(at.partition, at.offset, at.index) for at in told] == expected
    fine = [fine for part in found for fine in part.fine]
    assert fine == [one.value not in (b"junk", b"", GOOD + b"\njunk\njunk") for one in ordered]


def test_the_rows_of_many_batches_are_the_rows_of_one() -> None:
    few = [event(user=f"u{n % 3}", trace_id=f"{n:032x}", conversation_id="one", duration=0.1 * n) for n in range(40)]
    many = [event(user=f"u{n}", conversation_id=f"c{n}", error_type="timeout", status="error") for n in range(40)]
    records = [SourceRecord(0, at, record(one).value) for at, one in enumerate([*few, *many, *few[:5]])]
    (whole,) = made(records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "CHUNK_BYTES", 40 * len(records[0].value or b""))
        (part,) = made(records, keep_batches=True)
    assert len(part.batches) > 2
    one_batch = rows_of(enrich(records))
    for name, column in one_batch.items():
        expected = [(0, value) for value in column.to_pylist()]
        assert listed(part, name) == expected == listed(whole, name), name


def test_columns_of_few_and_of_many_texts_are_joined() -> None:
    few, more = pa.array(["a", "a"]).dictionary_encode(), pa.array(["b", "a"]).dictionary_encode()
    assert joined([few, more]).to_pylist() == ["a", "a", "b", "a"]
    assert joined([few, pa.array(["x", "y"])]).to_pylist() == ["a", "a", "x", "y"]


def test_batches_are_kept_only_where_someone_wants_them() -> None:
    records = [SourceRecord(0, 0, GOOD)]
    assert [len(part.batches) for keep in (True, False) for part in made(records, keep)] == [1, 0]
