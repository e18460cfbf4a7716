"""The feedback step: each rating one row, whatever fails, repeats, is away or was written by another."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch import FeedbackEvent, topics
from inferwatch.wire import encode_event
from processors import interruption, stored_step
from processors.errors import DeliveryFailed
from processors.feedback.contents import Feedback
from processors.producer import MemoryProducer
from processors.records import Position
from processors.settings import EnrichSettings
from processors.step import Record
from processors.stored_step import StoredStep, blocks
from storage.errors import StoreRefused, StoreUnavailable
from storage.memory_sink import MemorySink
from storage.sink import Appended, Block, Table
from tests.support.waiting import until
from tests.unit.processors.makers import (
    SCANNER,
    TOPIC_ID,
    GatedSink,
    HandClock,
    LoggingProducer,
    UnsteadySink,
    feedback,
    offsets,
)


def step(sink: MemorySink, producer: MemoryProducer, topic_id: str = TOPIC_ID) -> StoredStep:
    contents = Feedback(EnrichSettings(user_hash_secret="s3cret"), SCANNER)
    return StoredStep(contents, sink, producer, topic_id, HandClock())


def given_as(*given: FeedbackEvent | bytes, offset: int = 0, partition: int = 0) -> Record:
    """Return a consumed record of feedback."""
    lines = [one if isinstance(one, bytes) else encode_event(one) for one in given]
    return Record(topics.FEEDBACK, partition, offset, "", b"\n".join(lines))


def batch(*wanted: int) -> list[Record]:
    return [given_as(feedback(), offset=offset) for offset in wanted or range(10)]


def stored(sink: MemorySink) -> list[tuple[int, int, int]]:
    return offsets(sink, "feedback")


ROWS = [(0, offset, 0) for offset in range(10)]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two rows."""
    monkeypatch.setattr(stored_step, "BLOCK_ROWS", 2)


async def test_each_rating_becomes_a_row_of_its_own_partition() -> None:
    sink = MemorySink()
    records = [given_as(feedback(), feedback(), offset=4, partition=1), given_as(feedback(label="good"), offset=2)]
    assert await step(sink, MemoryProducer()).process(records)
    assert stored(sink) == [(0, 2, 0), (1, 4, 0), (1, 4, 1)]
    assert sink.tables["feedback"][0]["label"] == "good"
    assert {row["source_topic_id"] for row in sink.tables["feedback"]} == {TOPIC_ID}
    assert sink.positions("inferences", TOPIC_ID) == {}


async def test_who_gave_it_is_hashed_with_the_secret_and_comments_are_masked() -> None:
    sink = MemorySink()
    one = feedback(who="ann", comment="write to ann.smith@example.com")
    await step(sink, MemoryProducer()).process([given_as(one)])
    (row,) = sink.tables["feedback"]
    assert row["comment"] == "write to <EMAIL_ADDRESS>"
    assert (len(row["who"]), "ann" in row["who"]) == (32, False)


async def test_dead_letters_are_out_before_rows_and_say_where_they_stood() -> None:
    log: list[str] = []
    producer = LoggingProducer(log)
    line = b'{"who": "hunter2"}'
    assert await step(UnsteadySink(log), producer).process([given_as(feedback(), line, offset=6, partition=2)])
    assert log == [f"send {topics.DEAD_LETTERS}", "write feedback"]
    (letter,) = producer.records
    assert (letter.value, letter.key) == (line, topics.FEEDBACK)
    assert dict(letter.headers) == {
        "reason": "Object missing required field `feedback_id`",
        "topic": topics.FEEDBACK,
        "partition": "2",
        "offset": "6",
        "index": "1",
        "topic-id": TOPIC_ID,
    }


async def test_nothing_but_dead_letters_writes_no_row() -> None:
    sink, producer = UnsteadySink([]), MemoryProducer()
    assert await step(sink, producer).process([given_as(b"junk", b"junk"), given_as(offset=1)])
    assert (sink.blocks, len(producer.records)) == ([], 3)


async def test_the_same_records_are_stored_once_with_and_without_a_release() -> None:
    sink = MemorySink()
    one = step(sink, MemoryProducer())
    for released in (False, True):
        if released:
            await one.release()
        assert await one.process(batch())
        assert await one.process(batch())
        assert stored(sink) == ROWS


async def test_a_topic_that_was_made_again_begins_at_its_own_beginning() -> None:
    sink = MemorySink()
    await step(sink, MemoryProducer()).process(batch())
    await step(sink, MemoryProducer(), "second").process(batch(0, 1))
    assert stored(sink) == [*ROWS, *ROWS[:2]]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (2, 3), (0, 6)])
async def test_whatever_fails_and_whatever_answer_is_lost_each_row_is_stored_once(
    before: int, after: int, waits: list[float]
) -> None:
    sink = UnsteadySink([], before, after)
    assert await step(sink, MemoryProducer()).process(batch())
    assert stored(sink) == ROWS
    assert len(waits) == before + after


async def test_kafka_that_is_away_is_waited_for_and_no_row_is_written_meanwhile(waits: list[float]) -> None:
    sink, producer = UnsteadySink([]), LoggingProducer()
    producer.raises = [DeliveryFailed("t", "timed out")] * 2
    assert await step(sink, producer).process([given_as(feedback(), b"junk")])
    assert (len(waits), producer.log, stored(sink)) == (2, [f"send {topics.DEAD_LETTERS}"], ROWS[:1])


class Refusing(MemorySink):
    """A store that says no."""

    def append(self, table: Table, block: Block) -> Appended:
        raise StoreRefused(60, "no such table")


async def test_a_store_that_refuses_stops_the_worker() -> None:
    with pytest.raises(StoreRefused):
        await step(Refusing(), MemoryProducer()).process(batch())


class Away(UnsteadySink):
    """A store that cannot even say how far it is."""

    def positions(self, table: Table, topic_id: str) -> dict[int, int]:
        raise StoreUnavailable("http://store", "away")


async def test_an_interruption_gives_up_waiting_for_the_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)
    one = step(Away([]), MemoryProducer())
    processing = asyncio.create_task(one.process(batch()))
    await asyncio.sleep(0)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)


@pytest.mark.usefixtures("small_blocks")
async def test_after_an_interruption_nothing_is_durable_until_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)
    sink = UnsteadySink([])
    one = step(sink, MemoryProducer())
    assert await one.process(batch(0, 1))
    sink.before = 10**9
    processing = asyncio.create_task(one.process(batch(2, 3)))
    await until(lambda: sink.failures > 0)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)
    assert not await one.tick()
    sink.before = 0
    for again in ([], batch(0, 1), batch(4)):
        assert not await one.process(again)
    assert stored(sink) == ROWS[:2]
    await one.release()
    assert await one.tick()
    assert await one.process(batch(2, 3, 4))
    assert stored(sink) == ROWS[:5]


async def test_two_interruptions_before_a_release_do_not_outlive_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.02)
    one = step(MemorySink(), MemoryProducer())
    one.interrupt()
    one.interrupt()
    await one.release()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one._interrupted.sign.wait(), 0.1)
    assert await one.process(batch(0))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ahead", range(11))
async def test_a_worker_that_was_overtaken_adds_only_what_is_missing(ahead: int) -> None:
    sink = UnsteadySink([])
    zombie = step(sink, MemoryProducer())
    assert await zombie.process([given_as(feedback(), offset=0, partition=1)])
    if ahead:
        assert await step(sink, MemoryProducer()).process(batch(*range(ahead)))
    assert await zombie.process(batch())
    assert [found for found in stored(sink) if found[0] == 0] == ROWS


async def test_a_worker_that_is_stuck_while_another_takes_over_adds_nothing_when_it_wakes_up() -> None:
    sink = GatedSink()
    zombie = step(sink, MemoryProducer())
    waking = asyncio.create_task(zombie.process(batch()))
    assert await asyncio.to_thread(sink.reached.wait, 10)
    other = MemorySink()
    other.tables = sink.tables
    assert await step(other, MemoryProducer()).process([*batch(), *batch(10)])
    sink.gate.set()
    assert await waking
    assert stored(sink) == [*ROWS, (0, 10, 0)]


@settings(max_examples=25)
@given(st.data())
def test_any_cut_and_any_restart_gives_each_rating_one_row(data: st.DataObject) -> None:
    records = [given_as(feedback(), feedback(), offset=n // 2, partition=n % 2) for n in range(8)]
    sink = MemorySink()

    async def run() -> None:
        one = step(sink, MemoryProducer())
        done = restarts = 0
        while done < len(records):
            end = data.draw(st.integers(done + 1, len(records)))
            assert await one.process(records[done:end])
            done = end
            if restarts < 3 and data.draw(st.booleans()):
                restarts += 1
                one = step(sink, MemoryProducer())
                done = data.draw(st.integers(0, end))  # the acknowledgement of the rest was lost

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stored_step, "BLOCK_ROWS", data.draw(st.integers(1, 5)))
        asyncio.run(run())
    assert sorted(stored(sink)) == sorted((one.partition, one.offset, i) for one in records for i in range(2))


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(1, 6))
def test_blocks_are_whole_records_in_order_within_bounds(sizes: list[int], most: int) -> None:
    one = feedback()
    given_there = [(Position(0, offset, index), one) for offset, size in enumerate(sizes) for index in range(size)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stored_step, "BLOCK_ROWS", most)
        made = blocks(given_there)
    assert [each for block in made for each in block] == given_there
    of_block = [{position.offset for position, _ in block} for block in made]
    assert sum(map(len, of_block)) == len(sizes)
    assert all(len(block) <= most or len(those) == 1 for block, those in zip(made, of_block, strict=True))
