"""A worker stops when most of what arrives is invalid, before that is taken from the topic."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from inferwatch import topics
from processors.errors import TooMuchPoison
from processors.producer import MemoryProducer
from processors.step import Record
from storage.memory_sink import MemorySink
from tests.unit.processors.makers import ROWS, enrich_step, event, offsets, processed, record

ONE = event()


def each(*lines: Any, first: int = 0) -> list[Record]:
    """Return each line as a record of its own."""
    return [record(line, offset=offset) for line, offset in zip(lines, count(first), strict=False)]


async def test_mostly_poison_stops_the_worker_before_it_is_taken_from_the_topic() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    with pytest.raises(TooMuchPoison) as caught:
        await processed(enrich_step(sink, producer), each(*[ONE] * 99, *[b"junk"] * 101))
    assert (caught.value.seen, caught.value.limit) == (200, 0.5)
    assert caught.value.share == pytest.approx(0.505)
    assert caught.value.last_reason == "not JSON: DecodeError"
    assert "INFERWATCH_POISON_LIMIT=1" in str(caught.value)
    assert (offsets(sink), producer.records) == ([], [])


@pytest.mark.parametrize(("good", "bad"), [(0, 199), (100, 100), (3000, 1200)])
async def test_some_poison_is_buried_and_the_stream_goes_on(good: int, bad: int) -> None:
    total = good + bad
    evenly = [b"junk" if (n + 1) * bad // total > n * bad // total else ONE for n in range(total)]
    sink, producer = MemorySink(), MemoryProducer()
    assert await processed(enrich_step(sink, producer), each(*evenly))
    assert (len(offsets(sink)), len(producer.records) - bool(good)) == (good, bad)


async def test_one_record_of_many_broken_lines_is_one_bad_record() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    one = enrich_step(sink, producer)
    assert await processed(one, [*each(*[ONE] * 999), record(*[b"junk"] * 2_000, offset=999)])
    assert (len(offsets(sink)), len(producer.records)) == (999, 2_001)


async def test_a_record_is_bad_where_most_of_its_events_are() -> None:
    one = enrich_step(MemorySink(), MemoryProducer())
    assert await processed(one, [record(*[ONE] * 2, *[b"junk"] * 2, offset=n) for n in range(200)])
    with pytest.raises(TooMuchPoison) as caught:
        await processed(one, [record(ONE, *[b"junk"] * 2, offset=200 + n) for n in range(201)])
    assert (caught.value.seen, round(401 * caught.value.share)) == (401, 201)


async def test_poison_is_counted_over_batches_and_good_events_make_up_for_it() -> None:
    one = enrich_step(MemorySink(), MemoryProducer())
    assert await processed(one, each(*[b"junk"] * 150))
    assert await processed(one, each(*[ONE] * 151, first=150))
    assert await processed(one, each(b"junk", first=301))
    with pytest.raises(TooMuchPoison) as caught:
        await processed(one, each(b"junk", first=302))
    assert (caught.value.seen, round(303 * caught.value.share)) == (303, 152)


async def test_only_the_last_thousand_records_count_as_poison() -> None:
    one = enrich_step(MemorySink(), MemoryProducer())
    assert await processed(one, each(*[ONE] * 3_000))
    assert await processed(one, each(*[b"junk"] * 500, first=3_000))
    with pytest.raises(TooMuchPoison) as caught:
        await processed(one, each(b"{}", first=3_500))
    assert (caught.value.seen, caught.value.share) == (1_000, 0.501)
    assert caught.value.last_reason == "Object missing required field `event_id`"


async def test_events_that_cannot_be_true_are_poison_too_and_the_limit_can_be_set() -> None:
    one = enrich_step(MemorySink(), MemoryProducer(), poison_limit=0.1)
    with pytest.raises(TooMuchPoison) as caught:
        await processed(one, each(*[ONE] * 180, *[event(duration=-1.0)] * 21))
    assert caught.value.limit == 0.1
    assert caught.value.last_reason == "$.duration: negative or not a number"


@pytest.mark.usefixtures("small_parts")
async def test_poison_stops_before_its_part_is_taken_from_the_topic() -> None:
    sink, producer = MemorySink(), MemoryProducer()
    one = enrich_step(sink, producer)
    with pytest.raises(TooMuchPoison):
        await processed(one, each(ONE, *[b"junk"] * 250))
    assert offsets(sink) == ROWS[:1]
    assert {made.topic for made in producer.records} >= {topics.MEASUREMENTS}
