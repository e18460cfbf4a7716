"""Arrivals become events with new ids and times that are now, and none is lost where Kafka has no room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from inferwatch import InferenceEvent, MirrorSettings, text_message
from inferwatch.transport import MemoryTransport, Record, Report
from inferwatch.wire import decode_inference, split_record
from ingest.replay.ahead import ReadAhead
from ingest.replay.arrival import Arrival
from ingest.replay.events import duration
from ingest.replay.pace import pace
from ingest.replay.schedule import when_they_end
from ingest.replay.settings import EventSettings, Labels
from ingest.replay.tally import Tally
from ingest.replay.to_kafka import KafkaTarget
from processors.enrich.validate import invalid_because
from tests.unit.replay.traces import arrival, arrivals
from tests.unit.sdk.events import HandClock, event

ASSUMED = EventSettings(Labels(model="m", team="t"), ttft=0.5, tpot=0.1)
NOW = 1_700_000_000.0


class Narrow(MemoryTransport):
    """Has room for one record at a time, and acknowledges it when it is asked."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._waiting: list[Record] = []
        self._patience = 0

    def send(self, record: Record) -> None:
        if self._waiting:
            raise BufferError
        self._waiting.append(record)
        self._patience = 3

    def poll(self, timeout: float) -> None:
        self._patience -= 1
        if self._waiting and self._patience <= 0:
            super().send(self._waiting.pop())


class Refusing(MemoryTransport):
    """Refuses what librdkafka would, and loses the rest."""

    def send(self, record: Record) -> None:
        if b"too large" in record.value:
            raise ValueError
        self._report(record, "_MSG_TIMED_OUT")


class Replayed:
    """What became of arrivals, by a clock that only waiting moves."""

    def __init__(
        self,
        given: Sequence[Arrival],
        speed: float | None = 1.0,
        settings: EventSettings = ASSUMED,
        transport: type[MemoryTransport] = MemoryTransport,
        **mirror: Any,
    ) -> None:
        clock, self.tally, self.began = HandClock(NOW), Tally(0.1), NOW
        made: list[MemoryTransport] = []

        def new_transport(_settings: MirrorSettings, report: Report) -> MemoryTransport:
            made.append(transport(report))
            return made[0]

        async def pause(seconds: float) -> None:
            clock.move(seconds)

        async def run() -> None:
            bounds = replace(MirrorSettings("unused:1"), **mirror)
            target = KafkaTarget(bounds, settings, self.tally, clock, new_transport, pause)
            dues = when_they_end(iter(given), speed, lambda each: duration(each, settings))
            await pace(ReadAhead(dues), target, clock, pause)
            await target.answered()
            await target.close()

        asyncio.run(run())
        self.records = made[0].records

    def events(self) -> list[InferenceEvent]:
        return [decode_inference(line, index) for record in self.records for index, line in split_record(record)]


def test_a_line_of_a_trace_becomes_an_event_with_what_the_trace_says_and_no_more() -> None:
    (made,) = Replayed([arrival(77.0, input_tokens=100, output_tokens=11)]).events()
    assert (made.started_at, made.duration, made.time_to_first_token) == (NOW, 1.5, 0.5)
    assert (made.input_tokens, made.output_tokens, made.token_source) == (100, 11, "reported")
    assert (made.model, made.team, made.environment, made.status) == ("m", "t", "default", "ok")
    assert (made.input_messages, made.output_messages, made.content_unavailable) == ((), (), True)
    assert made.attributes == {"inferwatch.replayed": "trace"}


def test_an_answer_of_no_tokens_has_no_first_one() -> None:
    (made,) = Replayed([arrival(0.0, output_tokens=0)]).events()
    assert (made.duration, made.time_to_first_token) == (0.5, None)


def test_text_of_the_length_is_made_where_it_is_asked_for() -> None:
    (made,) = Replayed([arrival(0.0)], settings=replace(ASSUMED, text=True)).events()
    texts = [message.parts[0].content or "" for message in (*made.input_messages, *made.output_messages)]
    assert [len(text.split()) for text in texts] == [100, 11]
    assert not made.content_unavailable


def test_text_is_made_no_further_than_it_is_sent() -> None:
    endless = arrival(0.0, input_tokens=10**9 - 1, output_tokens=10**9 - 1)
    (made,) = Replayed([endless], settings=replace(ASSUMED, text=True), max_text_characters=100).events()
    texts = [message.parts[0].content or "" for message in (*made.input_messages, *made.output_messages)]
    assert all(50 < len(text) <= 100 for text in texts)
    assert made.truncated is not None
    assert made.input_tokens == 10**9 - 1


def test_arrivals_keep_their_spacing_divided_by_the_speed_and_the_first_is_now() -> None:
    done = Replayed(arrivals(50.0, 54.0, 64.0), speed=2.0)
    assert [made.started_at for made in done.events()] == [NOW, NOW + 2.0, NOW + 7.0]
    assert len({made.event_id for made in done.events()}) == 3
    assert done.tally.late == 0


def test_an_event_is_sent_when_it_has_ended() -> None:
    done = Replayed([arrival(0.0, 1, output_tokens=101), arrival(1.0, 2, output_tokens=1)])
    assert [made.started_at - NOW for made in done.events()] == [1.0, 0.0]
    assert done.tally.seconds == pytest.approx(10.5)


def test_as_fast_as_possible_each_has_ended_now() -> None:
    done = Replayed(arrivals(0.0, 3600.0), speed=None)
    assert [made.started_at + made.duration for made in done.events()] == [NOW, NOW]
    assert done.tally.lateness.count == 0


def test_a_recording_keeps_all_but_its_ids_and_its_time() -> None:
    said = (text_message("user", "Hi"),)
    recorded = event(
        started_at=5.0, duration=2.0, team="own", input_messages=said, response_id="r", trace_id="t",
        conversation_id="c", attributes={"region": "eu"}, time_to_first_token=0.7,
    )  # fmt: skip
    (made,) = Replayed([arrival(5.0, event=recorded)], settings=EventSettings()).events()
    assert made.event_id != recorded.event_id
    assert (made.started_at, made.duration, made.time_to_first_token) == (NOW, 2.0, 0.7)
    assert (made.team, made.conversation_id, made.input_messages) == ("own", "c", said)
    assert (made.response_id, made.trace_id) == (None, None)
    assert made.attributes == {"region": "eu", "inferwatch.replayed": "recording"}


def test_enrich_takes_what_is_made() -> None:
    given = [arrival(0.0), arrival(1.0, 2, output_tokens=0), arrival(2.0, 3, event=event(started_at=5.0))]
    for settings in (ASSUMED, replace(ASSUMED, text=True)):
        done = Replayed(given, settings=settings)
        now = NOW + done.tally.seconds
        assert [invalid_because(made, now, past_days=1.0, future_seconds=0.0) for made in done.events()] == [None] * 3


def test_names_that_are_asked_for_replace_the_recorded_ones() -> None:
    recorded = event(team="own", response_model="old", model_version="3")
    (made,) = Replayed([arrival(0.0, event=recorded)]).events()
    assert (made.team, made.model, made.response_model, made.model_version) == ("t", "m", None, None)


def test_what_is_due_together_travels_together_within_bounds() -> None:
    done = Replayed(arrivals(*[0.0] * 25, 100.0), events_per_record=10)
    assert [len(list(split_record(record))) for record in done.records] == [10, 10, 5, 1]
    done = Replayed(arrivals(*[0.0] * 5), record_bytes=1)
    assert len(done.records) == 5


def test_where_kafka_has_no_room_the_replay_waits_and_tells_how_late_it_was() -> None:
    done = Replayed(arrivals(*[0.0] * 100), transport=Narrow, events_per_record=1)
    assert (done.tally.sent, done.tally.ok, len(done.events())) == (100, 100, 100)
    assert done.tally.late > 0
    assert done.tally.latest == pytest.approx(done.tally.seconds - 1.5)


def test_what_kafka_does_not_take_is_told_by_reason() -> None:
    given = [arrival(0.0, event=event(team="too large")), arrival(60.0, event=event())]
    done = Replayed(given, transport=Refusing, settings=EventSettings())
    assert (done.tally.sent, done.tally.ok) == (2, 0)
    assert done.tally.failed == {"not sent: ValueError": 1, "_MSG_TIMED_OUT": 1}
