"""The last part of a batch is stored while the next batch is looked at, and nothing of it is called durable before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from processors import interruption
from processors.errors import TooMuchPoison
from processors.producer import MemoryProducer
from storage.errors import StoreRefused
from storage.sink import Appended, Block, Table
from tests.support.waiting import until
from tests.unit.processors.makers import (
    ROWS,
    GatedSink,
    LoggingProducer,
    enrich_step,
    measured,
    offsets,
    one_each,
    record,
)


async def test_a_batch_ends_with_its_last_part_in_flight() -> None:
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    assert await one.process(one_each(0, 1, 2))
    assert (one.in_flight(), offsets(sink)) == (3, [])
    assert await one.tick()  # does not wait
    assert one.in_flight() == 3
    sink.gate.set()
    await until(lambda: bool(offsets(sink)))
    assert await one.settle()
    assert one.in_flight() == 0
    assert offsets(sink) == ROWS[:3]


async def test_a_tick_finds_what_was_stored_meanwhile() -> None:
    sink = GatedSink()
    sink.gate.set()
    one = enrich_step(sink, MemoryProducer())
    await one.process(one_each(0))
    async with asyncio.timeout(5):
        while one.in_flight():
            assert await one.tick()
            await asyncio.sleep(0.001)
    assert offsets(sink) == ROWS[:1]


async def test_the_next_batch_is_looked_at_before_the_last_one_is_stored_and_stored_after_it() -> None:
    sink, looked_at = GatedSink(), 0
    one = enrich_step(sink, MemoryProducer())
    enrich = one._pipeline.enrich

    def noting(*args: Any, **kwargs: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return enrich(*args, **kwargs)

    one._pipeline.enrich = noting  # type: ignore[method-assign]
    await one.process(one_each(0, 1))
    second = asyncio.create_task(one.process(one_each(2, 3, 4)))
    await until(lambda: looked_at == 2)
    assert (offsets(sink), second.done()) == ([], False)
    sink.gate.set()
    assert await second
    assert offsets(sink)[:2] == ROWS[:2]
    assert one.in_flight() in {0, 3}
    assert await one.settle()
    assert offsets(sink) == ROWS[:5]


async def test_a_batch_of_nothing_new_counts_as_in_flight_as_long_as_one_before_it_is() -> None:
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    await one.process(one_each(0, 1))
    await one.process([])
    assert one.in_flight() == 2
    sink.gate.set()
    assert await one.settle()
    await one.process(one_each(0, 1))
    assert (one.in_flight(), offsets(sink)) == (0, ROWS[:2])


class Refusing(GatedSink):
    """A store that says no, once it says something."""

    def append(self, table: Table, block: Block) -> Appended:
        self.gate.wait(10)
        raise StoreRefused(60, "no such table")


@pytest.mark.parametrize("asked", ["tick", "settle", "release"])
async def test_a_store_that_refuses_what_is_in_flight_stops_the_worker(asked: str) -> None:
    sink = Refusing()
    one = enrich_step(sink, MemoryProducer())
    assert await one.process(one_each(0))
    sink.gate.set()

    async def ask() -> None:
        while True:
            await getattr(one, asked)()
            await asyncio.sleep(0.001)

    with pytest.raises(StoreRefused):
        await asyncio.wait_for(ask(), 5)


async def test_nothing_behind_a_part_that_was_refused_is_stored_or_sent() -> None:
    sink, producer = Refusing(), LoggingProducer()
    one = enrich_step(sink, producer)
    assert await one.process(one_each(0))
    sink.gate.set()
    with pytest.raises(StoreRefused):
        await one.process(one_each(1))
    assert (offsets(sink), [m.position.offset for m in measured(producer)]) == ([], [0])


async def test_poison_lets_what_is_in_flight_be_stored() -> None:
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    await one.process(one_each(0, 1))
    sink.gate.set()
    with pytest.raises(TooMuchPoison):
        await one.process([record(b"junk", offset=2 + n) for n in range(300)])
    assert offsets(sink) == ROWS[:2]


async def test_a_release_waits_for_what_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 60.0)
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    await one.process(one_each(0, 1))
    one.interrupt()
    releasing = asyncio.create_task(one.release())
    done, _ = await asyncio.wait([releasing], timeout=0.05)
    assert not done
    sink.gate.set()
    await releasing
    assert (offsets(sink), one.in_flight()) == (ROWS[:2], 0)


async def test_a_release_gives_up_what_is_in_flight_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.01)
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    await one.process(one_each(0, 1))
    one.interrupt()
    await asyncio.wait_for(one.release(), 5)
    assert one.in_flight() == 0
    sink.gate.set()
    assert await one.process(one_each(0, 1, 2))
    assert await one.settle()
    assert offsets(sink) == ROWS[:3]
