"""The stateful steps: alert, detect and archive, through kills, repetitions and a store that is away."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch import topics
from processors.alert.worker import AlertStep
from processors.archive import ArchiveStep
from processors.detect.model import ModelWatch
from processors.detect.worker import DetectStep
from processors.errors import DeliveryFailed
from processors.producer import MemoryProducer
from processors.records import (
    AlertTransition,
    DetectionRecord,
    EmbeddingSample,
    Measurement,
    decode_records,
    encode_records,
)
from processors.settings import AlertSettings, DetectSettings
from processors.step import Record
from storage.memory_sink import MemorySink
from storage.state import MemoryStateStore
from tests.unit.processors.makers import (
    MADE_AGAIN,
    NOW,
    TOPIC_ID,
    TOPIC_IDS,
    HandClock,
    LoggingProducer,
    UnsteadySink,
    UnsteadyStore,
    embedding,
    measurement,
    rule,
    transition,
)

RULES = (
    rule(name="errors", minimum_events=2, keep_firing_seconds=5),
    rule(name="drift", aggregation="detection", signal="embedding", threshold=0.0, keep_firing_seconds=50),
)


def alert_step(
    store: MemoryStateStore,
    producer: MemoryProducer,
    clock: HandClock,
    seconds: float = 0.0,
    ids: Mapping[str, str] = TOPIC_IDS,
) -> AlertStep:
    return AlertStep(AlertSettings(snapshot_seconds=seconds), RULES, store, producer, ids, clock)


def of(
    topic: str,
    offset: int,
    *structs: Measurement | EmbeddingSample | DetectionRecord | AlertTransition,
    partition: int = 0,
) -> Record:
    return Record(topic, partition, offset, "", encode_records(list(structs)))


def detected(offset: int) -> Record:
    found = DetectionRecord(
        detection_id="d",
        at=NOW,
        environment="prod",
        model="m",
        signal="embedding",
        detector="mmd",
        statistic=0.2,
        threshold=0.1,
    )
    return of(topics.DETECTIONS, offset, found)


def sent(producer: MemoryProducer) -> list[AlertTransition]:
    records = [one for one in producer.records if one.topic == topics.ALERTS]
    return [change for one in records for change in decode_records(one.value, AlertTransition)]


def errors(first: int, number: int = 2, at: float = NOW, **fields: Any) -> Record:
    made = [measurement(at, first * 10 + n, status="error", **fields) for n in range(number)]
    return of(topics.MEASUREMENTS, first, *made)


async def test_measurements_and_detections_become_transitions_keyed_by_model() -> None:
    producer = MemoryProducer()
    assert await alert_step(MemoryStateStore(), producer, HandClock()).process([errors(0), detected(0)])
    assert [(change.rule, change.state) for change in sent(producer)] == [("errors", "firing"), ("drift", "firing")]
    assert {one.key for one in producer.records} == {"prod/m"}


async def test_alerts_recover_although_nothing_arrives() -> None:
    producer, clock = MemoryProducer(), HandClock()
    step = alert_step(MemoryStateStore(), producer, clock)
    await step.process([errors(0)])
    clock.at += 70
    assert await step.tick()
    assert [change.state for change in sent(producer)] == ["firing", "resolved"]
    assert await step.tick()
    assert len(sent(producer)) == 2


async def test_a_record_that_is_none_of_ours_is_buried_and_the_rest_goes_on() -> None:
    producer = MemoryProducer()
    broken = Record(topics.MEASUREMENTS, 0, 0, "", b'{"event_id": "hunter2"}')
    assert await alert_step(MemoryStateStore(), producer, HandClock()).process([broken, errors(1)])
    letter = producer.records[0]
    assert (letter.topic, letter.value) == (topics.DEAD_LETTERS, broken.value)
    assert dict(letter.headers) == {
        "reason": "not a Measurement: ValidationError",
        "topic": topics.MEASUREMENTS,
        "partition": "0",
        "offset": "0",
    }
    assert len(sent(producer)) == 1


@pytest.mark.parametrize("value", [None, b"\xff", b"[" * 100_000, b"null"])
async def test_no_bytes_stop_the_alert_step(value: bytes | None) -> None:
    producer = MemoryProducer()
    records = [Record(topic, 0, 0, "", value) for topic in (topics.MEASUREMENTS, topics.DETECTIONS)]
    assert await alert_step(MemoryStateStore(), producer, HandClock()).process(records)
    assert sent(producer) == []


async def test_alerts_go_on_while_the_store_is_away_and_nothing_is_acknowledged() -> None:
    store, producer = UnsteadyStore(), MemoryProducer()
    step = alert_step(store, producer, HandClock())
    store.away = True
    assert not await step.process([errors(0)])
    assert len(sent(producer)) == 1
    assert not await step.tick()
    store.away = False
    assert await step.tick()


async def test_kafka_that_is_away_is_waited_for(waits: list[float]) -> None:
    producer = LoggingProducer()
    producer.raises = [DeliveryFailed("t", "timed out")]
    assert await alert_step(MemoryStateStore(), producer, HandClock()).process([errors(0)])
    assert (len(sent(producer)), len(waits)) == (1, 1)


async def run_and_kill(store: MemoryStateStore, records: Sequence[Record], cuts: Sequence[int]) -> set[str]:
    """Process records, killed after some of the batches: state is saved only now and then, and nothing is released."""
    heard: set[str] = set()
    acknowledged = 0
    for cut in [*cuts, len(records)]:
        producer, clock = MemoryProducer(), HandClock()
        step = alert_step(store, producer, clock, seconds=2.0)
        for place in range(acknowledged, cut):
            clock.at += 1.0
            if await step.process([records[place]]):
                acknowledged = place + 1
        heard |= {change.transition_id for change in sent(producer)}
    return heard


MIXED = [
    of(
        topics.MEASUREMENTS,
        n,
        *[measurement(NOW - 1000 + n * 40, n * 10 + i, status="error" if n % 4 < 2 else "ok") for i in range(2)],
    )
    for n in range(12)
]


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(MIXED)), max_size=4))
def test_killed_anywhere_the_same_transitions_are_sent(cuts: list[int]) -> None:
    undisturbed = asyncio.run(run_and_kill(MemoryStateStore(), MIXED, []))
    assert len(undisturbed) > 3
    assert asyncio.run(run_and_kill(MemoryStateStore(), MIXED, sorted(cuts))) == undisturbed


async def test_a_released_step_begins_where_it_ended() -> None:
    store, producer, clock = MemoryStateStore(), MemoryProducer(), HandClock()
    step = alert_step(store, producer, clock, seconds=100.0)
    assert not await step.process([errors(0)])
    await step.release()
    assert await step.tick()
    assert not await step.process([errors(0), errors(1)])
    assert len(sent(producer)) == 1


async def test_alerts_go_on_in_topics_that_were_made_again_where_they_ended_in_the_old_ones() -> None:
    store, producer, clock = MemoryStateStore(), MemoryProducer(), HandClock()
    old = alert_step(store, producer, clock)
    await old.process([errors(0), errors(50)])
    await old.release()
    clock.at += 1000
    new = alert_step(store, producer, clock, ids=MADE_AGAIN)
    assert await new.tick()
    assert [change.state for change in sent(producer)] == ["firing"]  # its state comes with the first record
    await new.process([of(topics.MEASUREMENTS, 0)])
    assert await new.tick()
    assert [change.state for change in sent(producer)] == ["firing", "resolved"]
    await new.process([errors(1, at=clock.at, source="second"), detected(0)])
    assert [(change.rule, change.state) for change in sent(producer)[2:]] == [("errors", "firing"), ("drift", "firing")]
    await new.process([errors(1, at=clock.at, source="second"), detected(0)])
    assert len(sent(producer)) == 4


def shifted(offset: int, value: float, source: str = TOPIC_ID) -> Record:
    made = [measurement(NOW + offset, offset * 50 + n, duration=value + n % 5 / 100, source=source) for n in range(50)]
    return of(topics.MEASUREMENTS, offset, *made)


def detect_step(
    store: MemoryStateStore, producer: MemoryProducer, ids: Mapping[str, str] = TOPIC_IDS, **given: Any
) -> DetectStep:
    return DetectStep(DetectSettings(snapshot_seconds=0.0, **given), store, producer, ids, HandClock())


def detections(producer: MemoryProducer) -> list[DetectionRecord]:
    records = [one for one in producer.records if one.topic == topics.DETECTIONS]
    return [found for one in records for found in decode_records(one.value, DetectionRecord)]


async def test_a_shift_is_detected_once_whatever_is_repeated() -> None:
    store, producer = MemoryStateStore(), MemoryProducer()
    records = [shifted(offset, 0.2 if offset < 5 else 2.0) for offset in range(10)]
    for _ in range(2):
        step = detect_step(store, producer)
        assert await step.process(records)
        assert await step.tick()
        await step.release()
    found = detections(producer)
    assert {one.signal for one in found} == {"duration"}
    assert len({one.detection_id for one in found}) == len(found) == 1
    assert producer.records[0].key == "prod/m"
    before, after = found[0].baseline, found[0].observed
    assert before == pytest.approx(0.22, abs=0.1)
    assert before is not None
    assert after is not None
    assert after > before


async def test_a_shift_in_a_topic_that_was_made_again_is_detected_against_what_was_normal() -> None:
    store, producer = MemoryStateStore(), MemoryProducer()
    await detect_step(store, producer).process([shifted(offset, 0.2) for offset in range(5)])
    again = [shifted(offset, 2.0, source="second") for offset in range(5)]
    assert await detect_step(store, producer, MADE_AGAIN).process(again)
    assert [one.signal for one in detections(producer)] == ["duration"]


SMALL: dict[str, Any] = {"reference_events": 40, "windows": (5, 10), "expected_run_length": 1000}


def prompts(offsets: range, drifted: bool = False, **fields: Any) -> list[Record]:
    """Embeddings of prompts, each a record of its own like those that the sampler sends."""
    samples = [
        embedding(*((-1.0, n % 5 / 10) if drifted else (1.0, n % 7 / 10)), event_id=f"p{drifted:d}{n}", at=NOW + n)
        for n in offsets
    ]
    return [
        of(topics.EMBEDDINGS, n, msgspec.structs.replace(one, **fields))
        for n, one in zip(offsets, samples, strict=True)
    ]


async def test_drift_of_prompts_is_detected_once_and_names_its_cause() -> None:
    store, producer = MemoryStateStore(), MemoryProducer()
    records = prompts(range(60)) + prompts(range(60, 80), drifted=True)
    for _ in range(2):
        step = detect_step(store, producer, **SMALL)
        assert await step.process(records)
        await step.release()
    assert detections(producer)
    assert len({one.detection_id for one in detections(producer)}) == len(detections(producer))
    for found in detections(producer):
        assert (found.signal, found.environment, found.model) == ("embedding", "prod", "m")
        (cause,) = found.event_ids
        assert cause.startswith("p1")
        assert found.at == NOW + int(cause[2:])
        assert found.statistic > found.threshold


async def test_drift_of_prompts_is_of_each_model_and_offsets_are_of_each_topic() -> None:
    store, producer = MemoryStateStore(), MemoryProducer()
    mixed = [
        record
        for pair in zip(prompts(range(0, 100, 2)), prompts(range(1, 100, 2), drifted=True, model="other"), strict=True)
        for record in pair
    ]
    step = detect_step(store, producer, **SMALL)
    assert await step.process([shifted(1_000, 0.2), *mixed])
    assert detections(producer) == []
    assert await step.process(prompts(range(100, 110), drifted=True))
    assert {one.model for one in detections(producer)} == {"m"}


async def test_drift_is_detected_in_embeddings_of_a_topic_that_was_made_again() -> None:
    store, producer = MemoryStateStore(), MemoryProducer()
    assert await detect_step(store, producer, **SMALL).process(prompts(range(60)))
    assert await detect_step(store, producer, MADE_AGAIN, **SMALL).process(prompts(range(20), drifted=True))
    assert detections(producer)


@pytest.mark.parametrize("value", [None, b"\xff", b"null", b'{"vector": "AAAA"}', b"[" * 100_000])
async def test_no_bytes_stop_the_detect_step(value: bytes | None) -> None:
    producer = MemoryProducer()
    broken = [Record(topic, 0, 0, "", value) for topic in (topics.MEASUREMENTS, topics.EMBEDDINGS)]
    assert await detect_step(MemoryStateStore(), producer).process(broken)
    buried = [dict(one.headers)["topic"] for one in producer.records]
    assert buried == ([] if value is None else [topics.MEASUREMENTS, topics.EMBEDDINGS])


async def test_a_vector_that_is_none_is_buried_and_the_rest_goes_on() -> None:
    producer, sink = MemoryProducer(), MemorySink()
    good = of(topics.EMBEDDINGS, 1, embedding(1.0, 0.0))
    broken = Record(topics.EMBEDDINGS, 0, 0, "", (good.value or b"").replace(b'"vector":"', b'"vector":"AAAA'))
    assert await detect_step(MemoryStateStore(), producer).process([broken, good])
    assert await ArchiveStep(sink, producer, HandClock()).process([broken, good])
    assert [dict(one.headers)["reason"] for one in producer.records] == ["not a EmbeddingSample: ValidationError"] * 2
    assert [row["vector"] for row in sink.tables["embeddings"]] == [[1.0, 0.0]]


def watched(watch: ModelWatch, offsets: range) -> list[DetectionRecord]:
    found: list[DetectionRecord] = []
    for n in offsets:
        found += watch.update([measurement(NOW + n, n, duration=0.2 if n < 300 else 2.0, input_pii=n % 2)])
    return found


def embedded(watch: ModelWatch, numbers: range) -> list[DetectionRecord]:
    made = [embedding(1.0 if n < 100 else -1.0, float(n % 7), event_id=f"p{n}") for n in numbers]
    return [found for one in made for found in watch.embed([one])]


def test_detectors_continue_from_a_snapshot_as_if_nothing_had_been() -> None:
    small = DetectSettings(**SMALL)
    whole, first = ModelWatch(small, "prod", "m"), ModelWatch(small, "prod", "m")
    everything = watched(whole, range(500)) + embedded(whole, range(150))
    before = watched(first, range(250))
    drift_before = embedded(first, range(70))
    second = ModelWatch.restored(first.snapshot(), small)
    after = watched(second, range(200, 500))
    assert before + after + drift_before + embedded(second, range(70, 150)) == everything
    assert second.snapshot() == whole.snapshot()
    assert {"duration", "embedding"} <= {found.signal for found in everything}


def test_an_embedding_of_another_length_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    watch = ModelWatch(DetectSettings(), "prod", "m")
    watch.embed([embedding(1.0, 0.0), embedding(1.0, 0.0, 0.0)])
    assert "an embedding of 3 dimensions among those of 2 is left out" in caplog.text


@pytest.mark.parametrize("component", [math.nan, math.inf])
def test_an_embedding_that_is_not_finite_is_left_out(component: float, caplog: pytest.LogCaptureFixture) -> None:
    watch, other = ModelWatch(DetectSettings(), "prod", "m"), ModelWatch(DetectSettings(), "prod", "m")
    assert watch.embed([embedding(component, 0.0), embedding(1.0, 0.0), embedding(0.0, component)]) == []
    assert "not finite is left out" in caplog.text
    other.embed([embedding(1.0, 0.0)])
    assert watch.snapshot() == other.snapshot()


def test_detectors_with_other_settings_start_afresh(caplog: pytest.LogCaptureFixture) -> None:
    watch = ModelWatch(DetectSettings(), "prod", "m")
    watch.embed([embedding(1.0, 0.0)])
    restored = ModelWatch.restored(watch.snapshot(), DetectSettings(reference_events=1000))
    assert restored.snapshot()["drift"] is None
    assert "start afresh" in caplog.text


async def test_what_was_decided_is_archived_in_its_table() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    step = ArchiveStep(sink, producer, HandClock())
    records = [
        of(topics.ALERTS, 0, transition(retrain=True)),
        detected(0),
        of(topics.EMBEDDINGS, 0, embedding(0.5, -2.0)),
        Record(topics.ALERTS, 0, 1, "", b"junk"),
    ]
    assert await step.process(records)
    assert await step.tick()
    assert {table: len(rows) for table, rows in sink.tables.items()} == {"alerts": 1, "detections": 1, "embeddings": 1}
    (row,) = sink.tables["alerts"]
    assert row["at"] == row["written_at"] == dt.datetime.fromtimestamp(NOW, dt.UTC)
    assert "retrain" not in row
    assert sink.tables["embeddings"][0]["vector"] == [0.5, -2.0]
    assert [one.topic for one in producer.records] == [topics.DEAD_LETTERS]


async def test_the_archive_waits_for_a_store_that_is_away(waits: list[float]) -> None:
    sink = UnsteadySink([], before=1)
    assert await ArchiveStep(sink, MemoryProducer(), HandClock()).process([detected(0)])
    assert (len(sink.tables["detections"]), waits) == (1, [1.0])
