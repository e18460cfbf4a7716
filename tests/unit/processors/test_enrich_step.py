"""The enrich step: each event one row and one measurement, whatever fails, repeats or is away."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import text_message, topics
from processors.dead_letters import MOST_BYTES, dead_letter
from processors.enrich import worker
from processors.enrich.decode import MOST_EVENTS, SourceRecord
from processors.enrich.embed import EmbeddingSampler, prompt_of
from processors.enrich.worker import EnrichStep, atomic_parts, measurement_waves
from processors.errors import DeliveryFailed, TooMuchPoison
from processors.producer import MemoryProducer
from processors.records import Measurement, decode_records
from processors.settings import EnrichSettings
from storage.errors import StoreRefused
from storage.sink import Columns, MemorySink
from tests.unit.processors.makers import (
    NOW,
    TOPIC_ID,
    FakeEmbedder,
    HandClock,
    LoggingProducer,
    UnsteadySink,
    event,
    pipeline,
    record,
)

PROMPT = (text_message("user", "How do I block my card?"),)


def step(
    sink: MemorySink,
    producer: MemoryProducer,
    sampler: EmbeddingSampler | None = None,
    topic_id: str = TOPIC_ID,
) -> EnrichStep:
    return EnrichStep(EnrichSettings(), pipeline(), sink, producer, sampler, topic_id, HandClock())


def offsets(sink: MemorySink) -> list[tuple[int, int, int]]:
    rows = sink.tables.get("inferences", [])
    return [(row["source_partition"], row["source_offset"], row["source_index"]) for row in rows]


def measured(producer: MemoryProducer) -> list[Measurement]:
    sent = [one for one in producer.records if one.topic == topics.MEASUREMENTS]
    return [measurement for one in sent for measurement in decode_records(one.value, Measurement)]


async def test_each_event_becomes_a_row_and_a_measurement() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    batch = [record(event(), event(), offset=1), record(event(request_model="other"), offset=4, partition=1)]
    assert await step(sink, producer).process(batch)
    assert offsets(sink) == [(0, 1, 0), (0, 1, 1), (1, 4, 0)]
    assert [one.key for one in producer.records] == ["default/smollm2", "default/other"]
    assert [one.event_id for one in measured(producer)] == [row["event_id"] for row in sink.tables["inferences"]]


async def test_measurements_and_dead_letters_are_out_before_rows_are_written() -> None:
    log: list[str] = []
    await step(UnsteadySink(log), LoggingProducer(log)).process([record(event(), b"junk")])
    assert log == [f"send {topics.MEASUREMENTS}", f"send {topics.DEAD_LETTERS}", "write inferences"]


async def test_the_same_records_after_a_release_are_written_once() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    one = step(sink, producer)
    batch = [record(event(), event(), offset=offset) for offset in range(3)]
    await one.process(batch)
    await one.release()
    await one.process([*batch, record(event(), offset=3)])
    assert [offset for _, offset, _ in offsets(sink)] == [0, 0, 1, 1, 2, 2, 3]
    assert len(measured(producer)) == 7


async def test_the_same_records_without_a_release_are_written_once() -> None:
    sink = MemorySink()
    one = step(sink, MemoryProducer())
    batch = [record(event(), offset=7)]
    await one.process(batch)
    await one.process(batch)
    assert offsets(sink) == [(0, 7, 0)]


@given(st.data())
def test_any_cut_and_any_restart_gives_each_event_one_row(data: st.DataObject) -> None:
    records = [record(event(), offset=n // 2, partition=n % 2) for n in range(8)]
    sink = MemorySink()
    done, restarts = 0, 0
    while done < len(records):
        end = data.draw(st.integers(done + 1, len(records)))
        asyncio.run(step(sink, MemoryProducer()).process(records[done:end]))
        if restarts < 3 and data.draw(st.booleans()):
            restarts += 1
            done = data.draw(st.integers(0, end))  # the acknowledgement of the rest was lost
        else:
            done = end
    assert sorted(offsets(sink)) == sorted((one.partition, one.offset, 0) for one in records)


async def test_a_store_that_is_away_is_waited_for(waits: list[float]) -> None:
    sink, producer = UnsteadySink([], before=3), LoggingProducer()
    assert await step(sink, producer).process([record(event())])
    assert offsets(sink) == [(0, 0, 0)]
    assert waits == [1.0, 2.0, 4.0]
    assert producer.log == [f"send {topics.MEASUREMENTS}"]


async def test_an_insert_whose_answer_was_lost_is_not_made_again(waits: list[float]) -> None:
    sink = UnsteadySink([], after=1)
    assert await step(sink, MemoryProducer()).process([record(event(), event())])
    assert offsets(sink) == [(0, 0, 0), (0, 0, 1)]
    assert len(waits) == 1


async def test_kafka_that_is_away_is_waited_for_and_no_row_is_written_meanwhile(waits: list[float]) -> None:
    sink, producer = MemorySink(), LoggingProducer()
    producer.raises = [DeliveryFailed("t", "timed out")] * 2
    assert await step(sink, producer).process([record(event())])
    assert (len(waits), len(offsets(sink)), len(measured(producer))) == (2, 1, 1)


class Refusing(MemorySink):
    """A store that says no."""

    def write(self, table: str, columns: Columns) -> None:
        raise StoreRefused(60, "no such table")


async def test_a_store_that_refuses_stops_the_worker() -> None:
    with pytest.raises(StoreRefused):
        await step(Refusing(), MemoryProducer()).process([record(event())])


async def test_a_dead_letter_carries_its_bytes_and_its_place() -> None:
    producer = MemoryProducer()
    await step(MemorySink(), producer).process([record(event(), b'{"user": "hunter2"}', offset=6, partition=2)])
    (letter,) = [one for one in producer.records if one.topic == topics.DEAD_LETTERS]
    assert (letter.value, letter.key) == (b'{"user": "hunter2"}', topics.INFERENCES)
    assert dict(letter.headers) == {
        "reason": "Object missing required field `event_id`",
        "topic": topics.INFERENCES,
        "partition": "2",
        "offset": "6",
        "index": "1",
    }


def test_a_dead_letter_is_never_larger_than_kafka_takes() -> None:
    letter = dead_letter(b"x" * (MOST_BYTES + 1), "too large", "t", 0, 1)
    assert len(letter.value) == MOST_BYTES
    assert dict(letter.headers)["bytes"] == str(MOST_BYTES + 1)
    assert "bytes" not in dict(dead_letter(b"x", "r", "t", 0, 1).headers)


async def test_a_batch_of_nothing_but_dead_letters_writes_no_row() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    assert await step(sink, producer).process([record(b"junk", b"junk"), record(offset=1)])
    assert (offsets(sink), len(producer.records)) == ([], 3)


async def test_mostly_poison_stops_the_worker_before_it_is_taken_from_the_topic() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    with pytest.raises(TooMuchPoison) as caught:
        await step(sink, producer).process([record(*[event()] * 99, *[b"junk"] * 101)])
    assert (caught.value.seen, caught.value.limit) == (200, 0.5)
    assert caught.value.share == pytest.approx(0.505)
    assert caught.value.last_reason == "not JSON: DecodeError"
    assert (offsets(sink), producer.records) == ([], [])


@pytest.mark.parametrize(("good", "bad"), [(0, 199), (100, 100), (3000, 1200)])
async def test_some_poison_is_buried_and_the_stream_goes_on(good: int, bad: int) -> None:
    total, one = good + bad, event()
    evenly = [b"junk" if (n + 1) * bad // total > n * bad // total else one for n in range(total)]
    sink, producer = MemorySink(), MemoryProducer()
    assert await step(sink, producer).process([record(*evenly)])
    assert (len(offsets(sink)), len(producer.records) - bool(good)) == (good, bad)


def test_parts_are_atomic_inserts_in_order() -> None:
    many = b"\n" * (MOST_EVENTS // 2)
    records = [SourceRecord(0, offset, value) for offset, value in enumerate([b"a", None, many, many, b"a", many])]
    parts = atomic_parts(records)
    assert [one for part in parts for one in part] == records
    assert [[one.offset for one in part] for part in parts] == [[0, 1, 2], [3, 4], [5]]
    assert atomic_parts([]) == []


def test_one_model_has_one_record_a_wave_and_its_order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_RECORD_BYTES", 2_100)  # room for two measurements
    models = ["a", "b", "a", "a", "a", "a"]
    items = pipeline().enrich([SourceRecord(0, 0, record(*(event(request_model=m) for m in models)).value)], NOW).items
    waves = [
        [(one.key, decode_records(one.value, Measurement)) for one in wave]
        for wave in measurement_waves(items, TOPIC_ID)
    ]
    assert [[(key, [m.position.index for m in found]) for key, found in wave] for wave in waves] == [
        [("default/a", [0, 2]), ("default/b", [1])],
        [("default/a", [3, 4])],
        [("default/a", [5])],
    ]


@pytest.mark.parametrize("character", ["x", "\x01", "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}"])
def test_a_record_of_measurements_is_never_larger_than_kafka_takes(
    character: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_RECORD_BYTES", 30_000)
    name, most, third = character * 256, 2**32 - 1, 100_000 / 3
    longest = event(
        environment=name,
        request_model=name,
        model_version=name,
        team=name,
        started_at=NOW - 2 * third,
        status="cancelled",
        duration=third,
        time_to_first_token=third / 7,
        input_tokens=most,
        output_tokens=most,
    )
    items = pipeline().enrich([SourceRecord(2**31, 2**62, record(*[longest] * 60).value)], NOW).items
    waves = measurement_waves(items, "x" * 64)
    assert len(items) == 60 == sum(len(decode_records(one.value, Measurement)) for wave in waves for one in wave)
    assert max(len(one.value) for wave in waves for one in wave) <= 30_000


def test_models_whose_keys_look_alike_are_kept_apart() -> None:
    pairs = [("a/b", "c"), ("a", "b/c")]
    events = [event(environment=environment, request_model=model) for environment, model in pairs]
    (wave,) = measurement_waves(pipeline().enrich([SourceRecord(0, 0, record(*events).value)], NOW).items, TOPIC_ID)
    assert [[(m.environment, m.model) for m in decode_records(one.value, Measurement)] for one in wave] == [
        [pair] for pair in pairs
    ]


async def test_a_topic_that_was_made_again_is_stored_although_the_store_has_higher_offsets_of_the_old_one() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    await step(sink, producer).process([record(event(), offset=offset) for offset in (7, 8)])
    new = step(sink, producer, topic_id="second")
    batch = [record(event(), offset=offset) for offset in range(3)]
    await new.process(batch)
    await new.release()
    await new.process([*batch, record(event(), offset=3)])
    assert [(row["source_topic_id"], row["source_offset"]) for row in sink.tables["inferences"]] == [
        *[(TOPIC_ID, offset) for offset in (7, 8)],
        *[("second", offset) for offset in range(4)],
    ]
    assert [(m.source, m.position.offset) for m in measured(producer)] == [
        (row["source_topic_id"], row["source_offset"]) for row in sink.tables["inferences"]
    ]


async def test_a_lost_answer_in_a_topic_that_was_made_again_is_not_taken_for_the_old_rows(waits: list[float]) -> None:
    sink = UnsteadySink([])
    await step(sink, MemoryProducer()).process([record(event(), offset=9)])
    sink.before = 1
    await step(sink, MemoryProducer(), topic_id="second").process([record(event(), offset=0)])
    assert (offsets(sink), waits) == ([(0, 9, 0), (0, 0, 0)], [1.0])


async def test_prompts_are_offered_once_their_rows_are_written_and_dropped_at_a_release() -> None:
    log: list[str] = []
    producer = LoggingProducer(log)
    sampler = EmbeddingSampler(EnrichSettings(), FakeEmbedder(), producer, random.Random(0))
    one = step(UnsteadySink(log), producer, sampler)
    batch = [record(event(input_messages=PROMPT), event(), b"junk")]
    await one.process(batch)
    await sampler.embed_waiting()
    await one.process(batch)
    await sampler.embed_waiting()
    assert log == [
        f"send {topics.MEASUREMENTS}",
        f"send {topics.DEAD_LETTERS}",
        "write inferences",
        f"send {topics.EMBEDDINGS}",
    ]
    await one.process([record(event(input_messages=PROMPT), offset=1)])
    await one.release()
    await sampler.embed_waiting()
    assert (log[-1], sampler.skipped) == ("write inferences", 1)


async def test_rows_and_measurements_do_not_wait_for_the_embedder() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    embedder = FakeEmbedder(hangs=True)
    sampler = EmbeddingSampler(EnrichSettings(embed_most=2), embedder, producer, random.Random(0))
    one = step(sink, producer, sampler)
    for offset in range(5):
        assert await one.process([record(event(input_messages=PROMPT), event(), offset=offset)])
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
    one = step(sink, producer)
    assert await one.tick()
    assert await one.process([])
    assert (sink.tables, producer.records) == ({}, [])


async def test_a_measurement_holds_numbers_and_names_only() -> None:
    producer = MemoryProducer()
    said = event(input_messages=(text_message("user", "my secret"),), user="ann", team="web", output_tokens=5)
    await step(MemorySink(), producer).process([record(said)])
    told = json.loads(producer.records[0].value)
    assert "secret" not in producer.records[0].value.decode()
    assert (told["team"], told["output_tokens"], told["position"]) == ("web", 5, [0, 0, 0])
    assert told["source"] == TOPIC_ID
    assert told["at"] == said.started_at + said.duration
