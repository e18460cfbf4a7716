"""Events survive the wire whatever text they hold, and what is not an event is refused without being quoted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import EventError, FeedbackEvent, InferenceEvent, text_message
from inferwatch.events import SCHEMA_VERSION
from inferwatch.wire import decode_feedback, decode_inference, encode_event, join_record, split_record
from tests.unit.sdk.events import event, events, texts


@given(events)
def test_an_event_survives_the_wire(given: InferenceEvent) -> None:
    assert decode_inference(encode_event(given)) == given


@given(st.lists(events, min_size=1, max_size=4))
def test_a_record_gives_back_its_events_in_order(given: list[InferenceEvent]) -> None:
    lines = list(split_record(join_record(map(encode_event, given))))
    assert [index for index, _ in lines] == list(range(len(given)))
    assert [decode_inference(line, index) for index, line in lines] == given


@given(st.builds(FeedbackEvent, feedback_id=texts, at=st.floats(0, 2e9), comment=st.none() | texts))
def test_feedback_survives_the_wire(given: FeedbackEvent) -> None:
    assert decode_feedback(encode_event(given)) == given


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b\u2029c\x85d\x0be", "\x00", "𝕏 – ж", '"\\'])
def test_one_event_is_one_line_whatever_its_text(text: str) -> None:
    line = encode_event(event(input_messages=(text_message("user", text),)))
    assert b"\n" not in line
    assert decode_inference(line).input_messages[0].parts[0].content == text


def test_a_lone_surrogate_costs_one_character_not_the_event() -> None:
    line = encode_event(event(error_message="cut \ud83d here", parameters={"seed": 10**30}, duration=float("nan")))
    told = json.loads(line)
    assert told["error_message"] == "cut ? here"
    assert told["parameters"] == {"seed": 10**30}
    assert told["duration"] is None


def test_blank_lines_are_skipped_but_counted() -> None:
    assert list(split_record(b"\n{}\n  \r\n[]\n")) == [(1, b"{}"), (3, b"[]")]


@given(st.binary(max_size=60))
def test_any_bytes_are_an_event_or_an_event_error(line: bytes) -> None:
    with pytest.raises(EventError):
        decode_inference(line, 7)


def wire(**fields: object) -> bytes:
    given = {"event_id": "e", "started_at": 1.0, "duration": 1.0, "source": "sdk"}
    return json.dumps({**given, **fields}).encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "missing required field `event_id`"),
        (b"[]", "Expected `object`, got `array`"),
        (wire(duration="long"), "$.duration"),
        (wire(attributes={"a": 1}), "$.attributes"),
        (wire(input_messages=[{"role": "user", "parts": [{"type": 1}]}]), "$.input_messages[0].parts[0].type"),
        (b"not json", "not JSON"),
        (b'{"event_id":"\xff"}', "not JSON"),
        (b'{"event_id":"\\ud800"}', "not JSON"),
        (wire(schema_version=SCHEMA_VERSION + 1), f"schema_version {SCHEMA_VERSION + 1} is newer"),
        (b'{"event_id":"e","parameters":{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_refused_line_says_where_and_why(line: bytes, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        decode_inference(line, 3)
    assert reason in caught.value.reason
    assert caught.value.index == 3
    assert str(caught.value).startswith("event 3: ")


@given(st.tuples(*[st.text("ab'\"\\\n` $-", max_size=6)] * 2).map("secret".join))
def test_a_reason_never_quotes_a_value(value: str) -> None:
    with pytest.raises(EventError) as caught:
        decode_inference(wire(source=value))
    assert "secret" not in caught.value.reason
    assert "Invalid enum value '…'" in caught.value.reason


def test_a_field_that_is_not_known_yet_is_ignored() -> None:
    assert decode_inference(wire(invented_later=[1, 2])).event_id == "e"
