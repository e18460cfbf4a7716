"""What is acknowledged is stored, once, whatever fails, answers late or is interrupted, and wherever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from inferwatch import topics
from processors import interruption
from processors.enrich.decode import SourceRecord
from processors.enrich.enriched import Batch
from processors.enrich.pipeline import Pipeline
from processors.enrich.worker import EnrichStep
from processors.errors import DeliveryFailed
from processors.producer import MemoryProducer
from processors.settings import EnrichSettings
from storage.errors import StoreRefused, StoreUnavailable
from storage.memory_sink import MemorySink
from storage.sink import Table
from tests.support.waiting import reached, until
from tests.unit.processors.makers import (
    BOOK,
    ROWS,
    SCANNER,
    TOPIC_ID,
    GatedSink,
    HandClock,
    LoggingProducer,
    UnsteadySink,
    enrich_step,
    event,
    measured,
    offsets,
    one_each,
    processed,
    record,
)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption that takes effect at once."""
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)


@pytest.mark.usefixtures("small_parts")
async def test_of_each_part_measurements_and_dead_letters_are_out_before_its_rows() -> None:
    log: list[str] = []
    given_events = [record(event(), b"junk", offset=offset) for offset in range(3)]
    await processed(enrich_step(UnsteadySink(log), LoggingProducer(log)), given_events)
    assert log == [f"send {topics.MEASUREMENTS}", f"send {topics.DEAD_LETTERS}", "write inferences"] * 3


async def test_nothing_is_acknowledged_before_its_rows_are_stored() -> None:
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    processing = asyncio.create_task(processed(one, one_each()))
    await reached(sink.reached)
    done, _ = await asyncio.wait([processing], timeout=0.05)
    assert (done, offsets(sink)) == (set(), [])
    sink.gate.set()
    assert await processing
    assert offsets(sink) == ROWS


@pytest.mark.usefixtures("small_parts")
async def test_blocks_name_the_position_that_they_follow() -> None:
    sink = UnsteadySink([])
    one = enrich_step(sink, MemoryProducer())
    await processed(one, [*one_each(0, 1, 2), record(event(), offset=7, partition=1)])
    await processed(one, one_each(5))
    assert [(block.partition, block.after, block.offsets.tolist()) for block in sink.blocks] == [
        (0, -1, [0, 1]),
        (0, 1, [2]),
        (1, -1, [7]),
        (0, 2, [5]),
    ]


async def test_rows_of_one_block_arrived_at_one_time() -> None:
    sink = MemorySink()
    await processed(enrich_step(sink, MemoryProducer()), one_each())
    assert len({found["ingested_at"] for found in sink.tables["inferences"]}) == 1


class Refusing(MemorySink):
    """A store that takes some blocks and then says no."""

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.taken = taken

    def append(self, table: Table, block: Any) -> Any:
        self.taken -= 1
        if self.taken < 0:
            raise StoreRefused(60, "no such table")
        return super().append(table, block)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("taken", range(5))
async def test_a_store_that_refuses_any_part_stops_the_worker(taken: int) -> None:
    sink = Refusing(taken)
    with pytest.raises(StoreRefused):
        await processed(enrich_step(sink, MemoryProducer()), one_each())
    assert offsets(sink) == ROWS[: 2 * taken]


class Breaking(Pipeline):
    """A pipeline with a mistake that some record brings out."""

    def enrich(self, records: Sequence[SourceRecord], now: float) -> Batch:
        if any(one.offset == 4 for one in records):
            raise ZeroDivisionError
        return super().enrich(records, now)


@pytest.mark.usefixtures("small_parts")
async def test_a_mistake_in_one_part_lets_the_one_before_be_stored_and_stops_the_worker() -> None:
    sink = UnsteadySink([])
    made = Breaking(EnrichSettings(), SCANNER, BOOK)
    one = EnrichStep(EnrichSettings(), made, sink, MemoryProducer(), None, None, TOPIC_ID, HandClock())
    with pytest.raises(ZeroDivisionError):
        await processed(one, one_each())
    assert offsets(sink) == ROWS[:4]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 1), (2, 3), (0, 6)])
async def test_whatever_fails_and_whatever_answer_is_lost_each_row_is_stored_once(
    before: int, after: int, waits: list[float]
) -> None:
    sink = UnsteadySink([], before, after)
    producer = LoggingProducer()
    assert await processed(enrich_step(sink, producer), one_each())
    assert offsets(sink) == ROWS
    assert len(measured(producer)) == 10
    assert len(waits) == before + after


class Forgetful(UnsteadySink):
    """A store that is away the first times it is asked how far it is."""

    def __init__(self, away: int) -> None:
        super().__init__([])
        self.away = away
        self.asked = 0

    def positions(self, table: Table, topic_id: str) -> dict[int, int]:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("http://store", "away")
        self.asked += 1
        return super().positions(table, topic_id)


async def test_the_store_is_asked_how_far_it_is_once_after_each_release(waits: list[float]) -> None:
    sink = Forgetful(2)
    one = enrich_step(sink, MemoryProducer())
    asked_by_sink = 1  # each append looks too, as the real one does
    await processed(one, one_each(0))
    assert (len(waits), sink.asked) == (2, 1 + asked_by_sink)
    await processed(one, one_each(1))
    assert sink.asked == 1 + 2 * asked_by_sink
    await one.release()
    await processed(one, one_each(1))
    assert sink.asked == 2 + 2 * asked_by_sink
    assert offsets(sink) == ROWS[:2]


@pytest.mark.usefixtures("impatient")
async def test_an_interruption_gives_up_waiting_and_a_release_begins_anew() -> None:
    sink, producer = UnsteadySink([], before=10**9), LoggingProducer()
    one = enrich_step(sink, producer)
    processing = asyncio.create_task(processed(one, one_each()))
    await until(lambda: sink.failures > 0)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)
    assert not await one.tick()
    await one.release()
    assert await one.tick()
    sink.before = 0
    assert await processed(one, one_each())
    assert offsets(sink) == ROWS
    assert [m.position.offset for m in measured(producer)] == [*range(10), *range(10)]


@pytest.mark.usefixtures("impatient")
async def test_kafka_that_is_away_is_given_up_too_and_no_row_is_stored() -> None:
    sink, producer = UnsteadySink([]), LoggingProducer()
    producer.raises = [DeliveryFailed("t", "timed out")] * 100
    one = enrich_step(sink, producer)
    processing = asyncio.create_task(processed(one, one_each()))
    await until(lambda: len(producer.raises) < 100)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)
    assert sink.blocks == []


@pytest.mark.usefixtures("impatient", "small_parts")
async def test_after_something_was_given_up_nothing_is_durable_until_a_release() -> None:
    sink = UnsteadySink([])
    one = enrich_step(sink, MemoryProducer())
    assert await processed(one, one_each(0, 1))
    sink.before = 10**9
    processing = asyncio.create_task(processed(one, one_each(2, 3)))
    await until(lambda: sink.failures > 0)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)
    sink.before = 0
    for again in ([], one_each(0, 1), one_each(4)):
        assert not await processed(one, again)
    assert offsets(sink) == ROWS[:2]
    await one.release()
    assert await processed(one, [])
    assert await processed(one, one_each(2, 3, 4))
    assert offsets(sink) == ROWS[:5]


@pytest.mark.usefixtures("impatient", "small_parts")
async def test_an_insert_that_was_left_to_itself_may_still_happen_and_counts_once() -> None:
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    processing = asyncio.create_task(processed(one, one_each()))
    await reached(sink.reached)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)
    await one.release()
    stuck, sink.gate = sink.gate, threading.Event()
    sink.gate.set()
    assert await processed(one, one_each())
    assert (len(sink.blocks), offsets(sink)) == (5, ROWS)
    stuck.set()
    await until(lambda: len(sink.blocks) == 6)
    assert offsets(sink) == ROWS


async def test_a_batch_that_ends_within_the_patience_is_durable_and_the_release_ends_the_interruption() -> None:
    sink = GatedSink()
    one = enrich_step(sink, MemoryProducer())
    processing = asyncio.create_task(processed(one, one_each(0)))
    await reached(sink.reached)
    one.interrupt()
    sink.gate.set()
    assert await processing
    await one.release()
    assert await processed(one, one_each(0, 1))
    assert offsets(sink) == ROWS[:2]


async def test_two_interruptions_before_a_release_do_not_outlive_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.02)
    one = enrich_step(MemorySink(), MemoryProducer())
    one.interrupt()
    one.interrupt()
    await one.release()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one._interrupted.sign.wait(), 0.1)
    assert await processed(one, one_each(0))
