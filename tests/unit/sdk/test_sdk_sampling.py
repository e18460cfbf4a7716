"""A share of texts is sent. Numbers always are, and so is the text of errors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import InferenceEvent, Message, MirrorSettings, Part, new_event_id
from inferwatch.prepare import prepare
from inferwatch.sampling import SAMPLED_OUT, keeps_text, without_text
from processors.enrich.tokens import count_tokens
from tests.unit.sdk.events import event, events, messages

WITHOUT_TEXT = MirrorSettings("k:9092", text_sample=0.0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["event", "trace", "conversation"])
def test_about_the_share_is_kept_whatever_ids_look_like(share: float, kind: str) -> None:
    count = 20_000
    if kind == "event":
        given = [event() for _ in range(count)]
    elif kind == "trace":
        given = [event(trace_id=f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}") for number in range(count)]
    else:
        given = [event(conversation_id=f"conversation-{number}") for number in range(count)]
    kept = sum(keeps_text(one, share) for one in given)
    deviation = (count * share * (1 - share)) ** 0.5
    assert abs(kept - count * share) < 5 * deviation


@given(st.floats(0, 1), st.uuids().map(str), st.lists(st.none() | st.text(max_size=9), min_size=2, max_size=6))
def test_a_trace_is_kept_or_left_out_as_a_whole(share: float, trace: str, conversations: list[str | None]) -> None:
    together = {keeps_text(event(trace_id=trace, conversation_id=one), share) for one in conversations}
    assert len(together) == 1


@given(st.floats(0, 1), st.text(min_size=1, max_size=9))
def test_a_conversation_without_traces_is_kept_or_left_out_as_a_whole(share: float, conversation: str) -> None:
    assert len({keeps_text(event(conversation_id=conversation), share) for _ in range(5)}) == 1


@given(st.uuids().map(str), st.floats(0, 1), st.floats(0, 1))
def test_what_a_smaller_share_keeps_a_larger_one_keeps_too(trace: str, one: float, other: float) -> None:
    kept = [keeps_text(event(trace_id=trace), share) for share in sorted((one, other))]
    assert kept != [True, False]


def test_all_is_kept_or_nothing_but_errors() -> None:
    assert keeps_text(event(trace_id="\ud800"), 1.0)
    assert not any(keeps_text(event(event_id=new_event_id()), 0.0) for _ in range(1000))
    assert keeps_text(event(status="error"), 0.0)
    assert not keeps_text(event(status="cancelled"), 0.0)


@given(events)
def test_an_event_left_out_has_every_number_and_name_but_no_text(whole: InferenceEvent) -> None:
    sent = without_text(whole)
    assert sent.parameters == {name: value for name, value in whole.parameters.items() if isinstance(value, int)}
    left_out = prepare(whole, WITHOUT_TEXT)
    assert isinstance(left_out, InferenceEvent)
    assert left_out.attributes == {**whole.attributes, **({} if whole.status == "error" else {SAMPLED_OUT: "true"})}
    for before, after in ((whole.input_messages, sent.input_messages), (whole.output_messages, sent.output_messages)):
        assert [message.role for message in after] == [message.role for message in before]
        parts = [part for message in after for part in message.parts]
        assert all((part.content, part.arguments, part.response) == ("", None, None) for part in parts)
        kept = [(part.type, part.id, part.name) for part in parts]
        assert kept == [(part.type, part.id, part.name) for message in before for part in message.parts]
    blank: dict[str, Any] = {"input_messages": (), "output_messages": (), "truncated": None, "parameters": {}}
    assert msgspec.structs.replace(sent, **blank) == msgspec.structs.replace(whole, **blank)


@given(
    st.lists(messages, max_size=3).map(tuple),
    st.lists(messages, max_size=3).map(tuple),
    st.none() | st.integers(0, 99),
    st.none() | st.integers(0, 99),
    st.sampled_from(["ok", "cancelled"]),
    st.integers(1, 20),
)
def test_tokens_are_the_same_without_text(
    asked: tuple[Message, ...],
    made: tuple[Message, ...],
    input_tokens: int | None,
    output_tokens: int | None,
    status: str,
    most: int,
) -> None:
    fields = {"input_messages": asked, "output_messages": made, "status": status}
    whole = event(**fields, input_tokens=input_tokens, output_tokens=output_tokens)
    assert count_tokens(without_text(whole)) == count_tokens(whole)
    left_out = prepare(whole, WITHOUT_TEXT)
    assert isinstance(left_out, InferenceEvent)
    assert count_tokens(left_out) == count_tokens(whole)


@given(events.map(lambda whole: msgspec.structs.replace(whole, status="error")))
def test_the_text_of_an_error_is_sent_whatever_the_share(failed: InferenceEvent) -> None:
    assert prepare(failed, WITHOUT_TEXT) == failed


def test_of_parameters_only_what_is_no_text_is_sent() -> None:
    numbers = {"temperature": 0.5, "seed": 7, "stream": True, "bias": [1, 2.5, None], "n": None}
    texts = {"context": "secret", "stop": ["secret"], "schema": {"secret": 1}, "raw": b"secret", "deep": [["secret"]]}
    left_out = prepare(event(parameters={**numbers, **texts}), WITHOUT_TEXT)
    assert isinstance(left_out, InferenceEvent)
    assert left_out.parameters == numbers


def test_the_mark_of_an_event_left_out_is_not_shown_to_the_mask() -> None:
    left_out = prepare(event(attributes={"a": "b"}), MirrorSettings("k:9092", text_sample=0.0, mask=str.upper))
    assert isinstance(left_out, InferenceEvent)
    assert left_out.attributes == {"A": "B", SAMPLED_OUT: "true"}


def test_lengths_that_were_cut_before_stay() -> None:
    long = event(input_messages=(Message(role="user", parts=(Part(type="text", content="x" * 50),)),))
    cut = prepare(long, MirrorSettings("k:9092", max_text_characters=10))
    assert isinstance(cut, InferenceEvent)
    assert without_text(cut).truncated == cut.truncated
    assert cut.truncated is not None
    assert cut.truncated.input_characters == 50
