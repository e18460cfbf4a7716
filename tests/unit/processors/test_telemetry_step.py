"""One topic, two tables: each takes its events once, whichever of them failed, lagged or was stored before."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch import topics
from inferwatch.events import TelemetryEvent
from inferwatch.wire import encode_event
from processors import stored_step
from processors.producer import MemoryProducer
from processors.settings import EnrichSettings
from processors.step import Record
from processors.stored_step import StoredStep
from processors.telemetry.contents import Telemetry
from storage.memory_sink import MemorySink
from storage.sink import Block
from tests.unit.processors.makers import (
    NOW,
    SCANNER,
    TOPIC_ID,
    HandClock,
    LoggingProducer,
    UnsteadySink,
    drops,
    offsets,
    sample,
    source,
)

BOTH = (encode_event(sample()), encode_event(drops()))


def step(sink: MemorySink, producer: MemoryProducer | None = None) -> StoredStep:
    contents = Telemetry(EnrichSettings(), SCANNER)
    return StoredStep(contents, sink, producer or MemoryProducer(), TOPIC_ID, HandClock())


def told(*events: TelemetryEvent | bytes, offset: int = 0, partition: int = 0) -> Record:
    lines = [one if isinstance(one, bytes) else encode_event(one) for one in events]
    return Record(topics.TELEMETRY, partition, offset, "", b"\n".join(lines))


async def test_each_kind_goes_to_its_own_table() -> None:
    sink = MemorySink()
    assert await step(sink).process([told(sample(), drops(), offset=1), told(drops(), offset=2)])
    assert offsets(sink, "server_samples") == [(0, 1, 0)]
    assert offsets(sink, "drop_reports") == [(0, 1, 1), (0, 2, 0)]


async def test_what_one_table_has_and_the_other_has_not_is_completed() -> None:
    sink = MemorySink()
    contents = Telemetry(EnrichSettings(), SCANNER)
    good, _ = contents.read([source(b"\n".join(BOTH), 4)], NOW)
    rows = contents.rows_of("server_samples", good["server_samples"])
    sink.append("server_samples", Block(TOPIC_ID, 0, -1, dt.datetime.fromtimestamp(NOW, dt.UTC), rows))
    assert await step(sink).process([told(*BOTH, offset=4)])
    assert offsets(sink, "server_samples") == [(0, 4, 0)]
    assert offsets(sink, "drop_reports") == [(0, 4, 1)]


async def test_a_dead_letter_of_a_record_that_is_in_one_table_does_not_go_out_again() -> None:
    sink, producer = MemorySink(), LoggingProducer()
    records = [told(sample(), b"junk", offset=0), told(b"junk", offset=1)]
    assert await step(sink, producer).process(records)
    assert await step(sink, producer).process(records)
    # Nothing is stored of the second record, so nobody remembers it.
    assert [dict(letter.headers)["offset"] for letter in producer.records] == ["0", "1", "1"]


@settings(max_examples=25)
@given(st.data())
def test_any_cut_any_restart_and_any_failure_give_each_event_one_row(data: st.DataObject) -> None:
    choice = st.sampled_from([BOTH, BOTH[:1], BOTH[1:], BOTH[::-1]])
    records = [told(*data.draw(choice), offset=n // 2, partition=n % 2) for n in range(8)]
    sink = UnsteadySink([])

    async def run() -> None:
        one = step(sink)
        done = restarts = 0
        while done < len(records):
            end = data.draw(st.integers(done + 1, len(records)))
            sink.before, sink.after = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))
            assert await one.process(records[done:end])
            done = end
            if restarts < 3 and data.draw(st.booleans()):
                restarts += 1
                one = step(sink)
                done = data.draw(st.integers(0, end))  # the acknowledgement of the rest was lost

    async def at_once(*_: object) -> None:
        return

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stored_step, "BLOCK_ROWS", data.draw(st.integers(1, 3)))
        patched.setattr("processors.retry.pause", at_once)
        asyncio.run(run())
    assert sorted(offsets(sink, "server_samples")) == sorted(places_of(BOTH[0], records))
    assert sorted(offsets(sink, "drop_reports")) == sorted(places_of(BOTH[1], records))


def places_of(wanted: bytes, records: list[Record]) -> Iterator[tuple[int, int, int]]:
    for record in records:
        for index, line in enumerate((record.value or b"").split(b"\n")):
            if line == wanted:
                yield record.partition, record.offset, index
