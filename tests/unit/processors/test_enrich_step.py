"""The enrich step: each event one row and one measurement, whatever fails, repeats or is away."""

from __future__ import annotations

import asyncio
import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import text_message, topics
from processors.dead_letters import MOST_BYTES, dead_letter
from processors.enrich.embed import EmbeddingSampler, prompt_of
from processors.errors import DeliveryFailed
from processors.producer import MemoryProducer
from processors.settings import EnrichSettings
from storage.errors import StoreRefused
from storage.memory_sink import MemorySink
from storage.sink import Appended, Block, Table
from tests.unit.processors.makers import (
    TOPIC_ID,
    FakeEmbedder,
    LoggingProducer,
    UnsteadySink,
    enrich_step,
    event,
    measured,
    offsets,
    processed,
    record,
)

PROMPT = (text_message("user", "How do I block my card?"),)


async def test_each_event_becomes_a_row_and_a_measurement() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    batch = [record(event(), event(), offset=1), record(event(request_model="other"), offset=4, partition=1)]
    assert await processed(enrich_step(sink, producer), batch)
    assert offsets(sink) == [(0, 1, 0), (0, 1, 1), (1, 4, 0)]
    assert [one.key for one in producer.records] == ["default/smollm2", "default/other"]
    ids = [str(uuid.UUID(bytes=row["event_id"])) for row in sink.tables["inferences"]]
    assert [one.event_id for one in measured(producer)] == ids
    assert [(m.position.partition, m.position.offset, m.position.index) for m in measured(producer)] == offsets(sink)


async def test_measurements_and_dead_letters_are_out_before_rows_are_written() -> None:
    log: list[str] = []
    await processed(enrich_step(UnsteadySink(log), LoggingProducer(log)), [record(event(), b"junk")])
    assert log == [f"send {topics.MEASUREMENTS}", f"send {topics.DEAD_LETTERS}", "write inferences"]


async def test_the_same_records_after_a_release_are_written_once() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    one = enrich_step(sink, producer)
    batch = [record(event(), event(), offset=offset) for offset in range(3)]
    await processed(one, batch)
    await one.release()
    await processed(one, [*batch, record(event(), offset=3)])
    assert [offset for _, offset, _ in offsets(sink)] == [0, 0, 1, 1, 2, 2, 3]
    assert len(measured(producer)) == 7


async def test_the_same_records_without_a_release_are_written_once() -> None:
    sink = MemorySink()
    one = enrich_step(sink, MemoryProducer())
    batch = [record(event(), offset=7)]
    await processed(one, batch)
    await processed(one, batch)
    assert offsets(sink) == [(0, 7, 0)]


@given(st.data())
def test_any_cut_and_any_restart_gives_each_event_one_row(data: st.DataObject) -> None:
    records = [record(event(), offset=n // 2, partition=n % 2) for n in range(8)]
    sink = MemorySink()
    done, restarts = 0, 0
    while done < len(records):
        end = data.draw(st.integers(done + 1, len(records)))
        asyncio.run(processed(enrich_step(sink, MemoryProducer()), records[done:end]))
        if restarts < 3 and data.draw(st.booleans()):
            restarts += 1
            done = data.draw(st.integers(0, end))  # the acknowledgement of the rest was lost
        else:
            done = end
    assert sorted(offsets(sink)) == sorted((one.partition, one.offset, 0) for one in records)


async def test_a_store_that_is_away_is_waited_for(waits: list[float]) -> None:
    sink, producer = UnsteadySink([], before=3), LoggingProducer()
    assert await processed(enrich_step(sink, producer), [record(event())])
    assert offsets(sink) == [(0, 0, 0)]
    assert waits == [1.0, 2.0, 4.0]
    assert producer.log == [f"send {topics.MEASUREMENTS}"]


async def test_an_insert_whose_answer_was_lost_is_not_made_again(waits: list[float]) -> None:
    sink = UnsteadySink([], after=1)
    assert await processed(enrich_step(sink, MemoryProducer()), [record(event(), event())])
    assert offsets(sink) == [(0, 0, 0), (0, 0, 1)]
    assert len(waits) == 1


async def test_kafka_that_is_away_is_waited_for_and_no_row_is_written_meanwhile(waits: list[float]) -> None:
    sink, producer = MemorySink(), LoggingProducer()
    producer.raises = [DeliveryFailed("t", "timed out")] * 2
    assert await processed(enrich_step(sink, producer), [record(event())])
    assert (len(waits), len(offsets(sink)), len(measured(producer))) == (2, 1, 1)


class Refusing(MemorySink):
    """A store that says no."""

    def append(self, table: Table, block: Block) -> Appended:
        raise StoreRefused(60, "no such table")


async def test_a_store_that_refuses_stops_the_worker() -> None:
    with pytest.raises(StoreRefused):
        await processed(enrich_step(Refusing(), MemoryProducer()), [record(event())])


async def test_a_dead_letter_carries_its_bytes_and_its_place() -> None:
    producer = MemoryProducer()
    given_record = record(event(), b'{"user": "hunter2"}', offset=6, partition=2)
    await processed(enrich_step(MemorySink(), producer), [given_record])
    (letter,) = [one for one in producer.records if one.topic == topics.DEAD_LETTERS]
    assert (letter.value, letter.key) == (b'{"user": "hunter2"}', topics.INFERENCES)
    assert dict(letter.headers) == {
        "reason": "Object missing required field `event_id`",
        "topic": topics.INFERENCES,
        "partition": "2",
        "offset": "6",
        "index": "1",
        "topic-id": TOPIC_ID,
    }


def test_a_dead_letter_is_never_larger_than_kafka_takes() -> None:
    letter = dead_letter(b"x" * (MOST_BYTES + 1), "too large", "t", 0, 1)
    assert len(letter.value) == MOST_BYTES
    assert dict(letter.headers)["bytes"] == str(MOST_BYTES + 1)
    assert "bytes" not in dict(dead_letter(b"x", "r", "t", 0, 1).headers)


async def test_a_batch_of_nothing_but_dead_letters_writes_no_row() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    assert await processed(enrich_step(sink, producer), [record(b"junk", b"junk"), record(offset=1)])
    assert (offsets(sink), len(producer.records)) == ([], 3)


async def test_a_topic_that_was_made_again_is_stored_although_the_store_has_higher_offsets_of_the_old_one() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    await processed(enrich_step(sink, producer), [record(event(), offset=offset) for offset in (7, 8)])
    new = enrich_step(sink, producer, topic_id="second")
    batch = [record(event(), offset=offset) for offset in range(3)]
    await processed(new, batch)
    await new.release()
    await processed(new, [*batch, record(event(), offset=3)])
    assert [(row["source_topic_id"], row["source_offset"]) for row in sink.tables["inferences"]] == [
        *[(TOPIC_ID, offset) for offset in (7, 8)],
        *[("second", offset) for offset in range(4)],
    ]
    assert [(m.source, m.position.offset) for m in measured(producer)] == [
        (row["source_topic_id"], row["source_offset"]) for row in sink.tables["inferences"]
    ]


async def test_a_lost_answer_in_a_topic_that_was_made_again_is_not_taken_for_the_old_rows(waits: list[float]) -> None:
    sink = UnsteadySink([])
    await processed(enrich_step(sink, MemoryProducer()), [record(event(), offset=9)])
    sink.before = 1
    await processed(enrich_step(sink, MemoryProducer(), topic_id="second"), [record(event(), offset=0)])
    assert (offsets(sink), waits) == ([(0, 9, 0), (0, 0, 0)], [1.0])


async def test_prompts_are_offered_once_their_rows_are_written_and_dropped_at_a_release() -> None:
    log: list[str] = []
    producer = LoggingProducer(log)
    sampler = EmbeddingSampler(EnrichSettings(), FakeEmbedder(), producer, random.Random(0))
    one = enrich_step(UnsteadySink(log), producer, sampler)
    batch = [record(event(input_messages=PROMPT), event(), b"junk")]
    await processed(one, batch)
    await sampler.embed_waiting()
    await processed(one, batch)
    await sampler.embed_waiting()
    assert log == [
        f"send {topics.MEASUREMENTS}",
        f"send {topics.DEAD_LETTERS}",
        "write inferences",
        f"send {topics.EMBEDDINGS}",
    ]
    await processed(one, [record(event(input_messages=PROMPT), offset=1)])
    await one.release()
    await sampler.embed_waiting()
    assert (log[-1], sampler.skipped) == ("write inferences", 1)


async def test_rows_and_measurements_do_not_wait_for_the_embedder() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    embedder = FakeEmbedder(hangs=True)
    sampler = EmbeddingSampler(EnrichSettings(embed_most=2), embedder, producer, random.Random(0))
    one = enrich_step(sink, producer, sampler)
    for offset in range(5):
        assert await processed(one, [record(event(input_messages=PROMPT), event(), offset=offset)])
    assert (len(offsets(sink)), len(measured(producer))) == (10, 10)
    assert len(embedder.texts) == 1
    assert {sent.topic for sent in producer.records} == {topics.MEASUREMENTS}


def test_the_prompt_is_the_last_thing_the_user_said() -> None:
    talk = (text_message("user", "one"), text_message("user", "two"), text_message("assistant", "three"))
    assert prompt_of(event(input_messages=talk)) == "two"
    assert prompt_of(event(input_messages=talk, status="cancelled")) == ""
    assert prompt_of(event(input_messages=talk[2:])) == ""


async def test_time_passing_and_an_empty_batch_change_nothing() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    one = enrich_step(sink, producer)
    assert await one.tick()
    assert await processed(one, [])
    assert (sink.tables, producer.records) == ({}, [])


async def test_a_measurement_holds_numbers_and_names_only() -> None:
    producer = MemoryProducer()
    said = event(input_messages=(text_message("user", "my secret"),), user="ann", team="web", output_tokens=5)
    await processed(enrich_step(MemorySink(), producer), [record(said)])
    told = json.loads(producer.records[0].value)
    assert "secret" not in producer.records[0].value.decode()
    assert (told["team"], told["output_tokens"], told["position"]) == ("web", 5, [0, 0, 0])
    assert told["source"] == TOPIC_ID
    assert told["at"] == said.started_at + said.duration
