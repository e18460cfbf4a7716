"""A worker stops when most of what arrives is invalid, before that is taken from the topic."""

from __future__ import annotations

import pytest

from inferwatch import topics
from processors.errors import TooMuchPoison
from processors.producer import MemoryProducer
from storage.sink import MemorySink
from tests.unit.processors.makers import ROWS, enrich_step, event, offsets, record


async def test_mostly_poison_stops_the_worker_before_it_is_taken_from_the_topic() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    with pytest.raises(TooMuchPoison) as caught:
        await enrich_step(sink, producer).process([record(*[event()] * 99, *[b"junk"] * 101)])
    assert (caught.value.seen, caught.value.limit) == (200, 0.5)
    assert caught.value.share == pytest.approx(0.505)
    assert caught.value.last_reason == "not JSON: DecodeError"
    assert (offsets(sink), producer.records) == ([], [])


@pytest.mark.parametrize(("good", "bad"), [(0, 199), (100, 100), (3000, 1200)])
async def test_some_poison_is_buried_and_the_stream_goes_on(good: int, bad: int) -> None:
    total, one = good + bad, event()
    evenly = [b"junk" if (n + 1) * bad // total > n * bad // total else one for n in range(total)]
    sink, producer = MemorySink(), MemoryProducer()
    assert await enrich_step(sink, producer).process([record(*evenly)])
    assert (len(offsets(sink)), len(producer.records) - bool(good)) == (good, bad)


async def test_poison_is_counted_over_batches_and_good_events_make_up_for_it() -> None:
    one = enrich_step(MemorySink(), MemoryProducer())
    assert await one.process([record(*[b"junk"] * 150)])
    assert await one.process([record(*[event()] * 151, offset=1)])
    assert await one.process([record(b"junk", offset=2)])
    with pytest.raises(TooMuchPoison) as caught:
        await one.process([record(b"junk", offset=3)])
    assert (caught.value.seen, round(303 * caught.value.share)) == (303, 152)


async def test_only_the_last_thousand_events_count_as_poison() -> None:
    one = enrich_step(MemorySink(), MemoryProducer())
    assert await one.process([record(*[event()] * 3_000)])
    assert await one.process([record(*[b"junk"] * 500, offset=1)])
    with pytest.raises(TooMuchPoison) as caught:
        await one.process([record(b"{}", offset=2)])
    assert (caught.value.seen, caught.value.share) == (1_000, 0.501)
    assert caught.value.last_reason == "Object missing required field `event_id`"


async def test_events_that_cannot_be_true_are_poison_too_and_the_limit_can_be_set() -> None:
    one = enrich_step(MemorySink(), MemoryProducer(), poison_limit=0.1)
    with pytest.raises(TooMuchPoison) as caught:
        await one.process([record(*[event()] * 180, *[event(duration=-1.0)] * 21)])
    assert caught.value.limit == 0.1
    assert caught.value.last_reason == "$.duration: negative or not a number"


@pytest.mark.usefixtures("small_parts")
async def test_poison_stops_before_its_part_is_taken_from_the_topic() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    records = [record(event(), offset=0), record(*[b"junk"] * 201, offset=1), record(event(), offset=2)]
    with pytest.raises(TooMuchPoison):
        await enrich_step(sink, producer).process(records)
    assert offsets(sink) == ROWS[:1]
    assert {one.topic for one in producer.records} == {topics.MEASUREMENTS}
