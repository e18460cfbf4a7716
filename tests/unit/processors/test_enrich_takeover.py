"""Of workers that all believe to own a partition, stuck or overtaken, none adds a row twice or leaves one out."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.enrich import parts
from processors.producer import MemoryProducer
from storage.memory_sink import MemorySink
from tests.support.waiting import reached
from tests.unit.processors.makers import (
    ROWS,
    GatedSink,
    UnsteadySink,
    enrich_step,
    event,
    offsets,
    one_each,
    processed,
    record,
)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("ahead", range(11))
async def test_a_worker_that_was_overtaken_adds_only_what_is_missing(ahead: int) -> None:
    sink = UnsteadySink([])
    zombie = enrich_step(sink, MemoryProducer())
    assert await processed(zombie, [record(event(), offset=0, partition=1)])
    if ahead:
        assert await processed(enrich_step(sink, MemoryProducer()), one_each(*range(ahead)))
    sink.blocks.clear()
    assert await processed(zombie, one_each())
    assert [found for found in offsets(sink) if found[0] == 0] == ROWS
    assert all(block.offsets.tolist() == [] or block.offsets[0] > block.after for block in sink.blocks)


async def test_a_worker_that_is_stuck_in_an_insert_while_another_takes_over_adds_nothing_when_it_wakes_up() -> None:
    sink = GatedSink()
    zombie = enrich_step(sink, MemoryProducer())
    waking = asyncio.create_task(processed(zombie, one_each()))
    await reached(sink.reached)
    # The same tables, without the gate.
    other = MemorySink()
    other.tables = sink.tables
    assert await processed(enrich_step(other, MemoryProducer()), [*one_each(), *one_each(10, 11)])
    sink.gate.set()
    assert await waking
    assert offsets(sink) == [*ROWS, (0, 10, 0), (0, 11, 0)]
    # From here on it follows what it found.
    assert await processed(zombie, one_each(10, 11, 12))
    assert (sink.blocks[-1].after, sink.blocks[-1].offsets.tolist()) == (11, [12])


@settings(max_examples=25)
@given(st.data())
def test_workers_that_all_believe_to_own_a_partition_store_each_row_once(data: st.DataObject) -> None:
    records = [record(event(), event(), offset=offset // 2, partition=offset % 2) for offset in range(12)]
    sink = UnsteadySink([])
    workers = [enrich_step(sink, MemoryProducer()) for _ in range(3)]

    async def run() -> None:
        # Each worker reads what it likes, always from the beginning or from where the store is, in order.
        for _ in range(data.draw(st.integers(1, 8))):
            one = data.draw(st.sampled_from(workers))
            end = data.draw(st.integers(1, len(records)))
            assert await processed(one, records[:end])
            if data.draw(st.booleans()):
                await one.release()
        assert await processed(workers[0], records)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "PART_EVENTS", data.draw(st.integers(1, 9)))
        patched.setattr(parts, "CHUNK_BYTES", data.draw(st.sampled_from([1, 1_000, 1 << 20])))
        asyncio.run(run())
    expected = [(one.partition, one.offset, index) for one in records for index in range(2)]
    assert sorted(offsets(sink)) == sorted(expected)
    for partition in range(2):
        of_it = [found for found in offsets(sink) if found[0] == partition]
        assert of_it == sorted(of_it)
