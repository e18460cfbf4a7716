"""Events as JSON: what is filled in, what is refused, and that processing will not refuse what was taken here."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import topics
from inferwatch.events import InferenceEvent, Message, Part
from inferwatch.wire import decode_inference, split_record
from ingest.collector.batch import MOST_EVENT_BYTES, inference_line
from ingest.collector.caller import ANYONE, Caller
from ingest.collector.json_events import decode_events, decode_feedback, decode_telemetry
from ingest.collector.json_values import JSON, NDJSON
from ingest.collector.made_ids import made_id
from ingest.collector.received import Received
from ingest.collector.validity import FUTURE_SECONDS, PAST_DAYS
from ingest.errors import Invalid, Malformed, Refused, TooLarge
from processors.settings import EnrichSettings

NOW = 1_800_000_000.0


def received(
    body: Any, media_type: str = JSON, caller: Caller = ANYONE, headers: dict[str, str] | None = None
) -> Received:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Received(caller, "/v1/events", media_type, data, NOW, headers or {})


def events(given: Received) -> list[InferenceEvent]:
    return [decode_inference(line) for record in decode_events(given).records for _, line in split_record(record.value)]


def test_what_is_missing_is_filled_in() -> None:
    (event,) = events(received({"duration": 2, "request_model": "m"}))
    assert (event.started_at, event.source, event.environment) == (NOW - 2, "http", "default")
    assert uuid.UUID(event.event_id).version == 7


def test_what_is_given_stays() -> None:
    given = {
        "event_id": str(uuid.uuid4()),
        "duration": 2,
        "started_at": NOW - 9,
        "source": "sdk",
        "response_model": "m",
    }
    (event,) = events(received(given))
    assert msgspec.to_builtins(event).items() >= given.items()


def test_ids_follow_from_the_idempotency_key() -> None:
    body = {"duration": 1, "started_at": NOW - 1, "request_model": "m"}
    first, again, other = (
        events(received([body, body], headers={"idempotency-key": key}))
        for key in ("a request", "a request", "another")
    )
    assert first == again
    assert len({event.event_id for event in (*first, *other)}) == 4


def test_only_events_with_ids_of_their_own_are_known_by_their_bytes() -> None:
    nameless = {"duration": 1, "request_model": "m"}
    named = {**nameless, "event_id": str(uuid.uuid4())}
    for body, recognised in (([named], True), ([named, nameless], False), ([], True)):
        given = received(body)
        assert (given.repeat(decode_events(given)) is not None) is recognised


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"duration": "1"}, "$.duration"),
        ({"duration": None}, "$.duration"),
        ({"duration": -1}, "$.duration"),
        ({"duration": True}, "$.duration"),
        ({"event_id": "7"}, "$.event_id"),
        ({"started_at": 0}, "$.started_at"),
        ({"source": "elsewhere"}, "$.source"),
        ({"input_messages": [{"role": "user", "parts": [{"content": "x"}]}]}, "$.input_messages[0].parts[0].type"),
        ({"attributes": {"a": 1}}, "$.attributes[...]"),
        ({"request_model": ""}, "$.request_model"),
        ({"schema_version": 99}, "$.schema_version"),
        ({"input_tokens": -1}, "$.input_tokens"),
        ({"user": "x" * 257}, "$.user"),
    ],
)
def test_the_place_of_a_mistake_is_named(changes: dict[str, Any], path: str) -> None:
    good = {"duration": 1, "request_model": "m"}
    with pytest.raises(Invalid) as caught:
        decode_events(received([good, {**good, **changes}]))
    assert (caught.value.index, caught.value.path) == (1, path)


def test_a_refusal_does_not_quote_what_was_sent() -> None:
    with pytest.raises(Invalid) as caught:
        decode_events(received({"duration": 1, "request_model": "m", "source": "secret@example.org"}))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "media_type", "index"),
    [
        (b"", JSON, None),
        (b"{", JSON, None),
        (b'{"a":1}\n\n{', NDJSON, 1),
        (b"\xff", JSON, None),
        (b"[" * 9999, JSON, None),
    ],
)
def test_what_is_not_json_is_malformed(body: bytes, media_type: str, index: int | None) -> None:
    with pytest.raises(Malformed) as caught:
        decode_events(received(body, media_type))
    assert caught.value.index == index


def test_what_is_no_object_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        decode_events(received([{"duration": 1, "request_model": "m"}, 7]))
    assert (caught.value.index, caught.value.path) == (1, "$")


def test_the_key_overrules_what_events_say_of_their_owner() -> None:
    caller = Caller("k", team="alpha", environment="staging")
    body = {"duration": 1, "request_model": "m", "team": "beta", "environment": "production"}
    (event,) = events(received(body, caller=caller))
    assert (event.team, event.environment) == ("alpha", "staging")
    report = {"kind": "drops", "report_id": "r", "at": NOW, "since": 0, "source": "sdk", "instance": "i", "team": "b"}
    (record,) = decode_telemetry(received(report, caller=caller)).records
    assert (record.key, b'"team":"alpha"' in record.value) == (b"staging/", True)


def test_feedback_goes_by_what_it_is_about() -> None:
    about = str(uuid.uuid4())
    given = [
        {"event_id": about, "score": 1},
        {"response_id": "r", "label": "good"},
        {"event_id": about, "comment": "x"},
    ]
    records = decode_feedback(received(given)).records
    assert [(record.topic, record.key, record.events) for record in records] == [
        (topics.FEEDBACK, about.encode(), 2),
        (topics.FEEDBACK, b"r", 1),
    ]


def test_an_event_beyond_what_a_topic_takes_is_cut_further_and_one_without_text_is_refused() -> None:
    def message(text: str) -> Message:
        return Message(role="user", parts=(Part(type="text", content=text),))

    event = InferenceEvent(event_id=str(uuid.uuid4()), started_at=NOW, duration=0, source="http", request_model="m")
    # Six bytes of JSON for one character.
    many = msgspec.structs.replace(event, input_messages=tuple(message("\x01 a" * 10_000) for _ in range(200)))
    line = inference_line(many, 65_536, 0)
    assert len(line) <= MOST_EVENT_BYTES
    cut = decode_inference(line).truncated
    assert cut is not None
    assert cut.input_characters == 200 * 30_000
    with pytest.raises(TooLarge) as caught:
        inference_line(msgspec.structs.replace(event, parameters={"a": "x" * (16 << 20)}), 65_536, 3)
    assert caught.value.index == 3


def test_feedback_beyond_what_a_topic_takes_is_refused() -> None:
    rating = {"response_id": "r", "score": 1}
    record = decode_feedback(received([rating, {**rating, "comment": "x" * (MOST_EVENT_BYTES - 1000)}])).records[-1]
    assert record.events == 1
    with pytest.raises(TooLarge) as caught:
        decode_feedback(received([rating, {**rating, "comment": "x" * MOST_EVENT_BYTES}]))
    assert caught.value.index == 1


def test_a_made_id_sorts_by_time_and_has_the_form_of_version_7() -> None:
    ids = [made_id(at, "cause") for at in (0.0, 1.0, NOW, NOW + 0.001)]
    assert ids == sorted(ids)
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    assert made_id(NOW, "a", "b") == made_id(NOW, "a", "b") != made_id(NOW, "ab", "")


def test_what_is_believed_here_is_what_workers_believe_unless_they_are_told_otherwise() -> None:
    workers = EnrichSettings()
    assert (workers.past_days, workers.future_seconds) == (PAST_DAYS, FUTURE_SECONDS)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from([*InferenceEvent.__struct_fields__, "kind", "at", "score", "reasons", "model"])


@given(st.lists(st.dictionaries(FIELDS, JSONS, max_size=5) | JSONS, max_size=3))
def test_whatever_json_is_sent_it_is_taken_or_refused(values: list[Any]) -> None:
    for body in (values, *values):
        for decode in (decode_events, decode_feedback, decode_telemetry):
            try:
                decode(received(msgspec.json.encode(body)))
            except Refused:
                continue


@given(st.binary(max_size=100))
def test_whatever_bytes_are_sent_they_are_taken_or_refused(body: bytes) -> None:
    for media_type in (JSON, NDJSON):
        try:
            decode_events(received(body, media_type))
        except Refused:
            continue


def test_infinite_times_do_not_reach_an_id() -> None:
    for started_at in (1e300, -1e300, math.pi * 1e12):
        with pytest.raises(Invalid):
            decode_events(received({"duration": 1, "started_at": started_at, "request_model": "m"}))
