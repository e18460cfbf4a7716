"""The application's hook sees every free text before it leaves, and what it cannot mask stays behind."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import FeedbackEvent, InferenceEvent, Message, MirrorSettings, Part, TensorSummary, text_message
from inferwatch.masking import WITHHELD, Mask
from inferwatch.prepare import prepare
from inferwatch.wire import encode_event
from tests.unit.sdk.events import event, events

SECRET = "zq4111zq"


@dataclass(frozen=True)
class Tool:
    """As applications put into parameters."""

    name: str
    default: object = None


class Choice(enum.Enum):
    """A value that is a text on the wire."""

    SECRET = f"choose {SECRET}"


def gone(text: str) -> str:
    return text.replace(SECRET, "<GONE>")


def fails(text: str) -> str:
    raise ValueError(text)


def sent(given: InferenceEvent | FeedbackEvent, mask: Mask, **settings: Any) -> bytes:
    return encode_event(prepare(given, MirrorSettings("k:9092", mask=mask, **settings)))


planted = st.tuples(st.text(max_size=4), st.text(max_size=4)).map(SECRET.join)
texts = planted | st.text(max_size=4)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts | st.just(Choice.SECRET) | texts.map(str.encode),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(texts, inner, max_size=3)
        | st.builds(Tool, name=texts, default=inner)
        | st.builds(Part, type=st.just("x"), content=texts, arguments=inner)
        | st.frozensets(texts, max_size=3)
    ),
    max_leaves=6,
)
parts = st.builds(Part, type=st.just("text"), content=st.none() | texts, arguments=trees, response=trees)
messages = st.lists(st.builds(Message, role=st.just("user"), parts=st.lists(parts, max_size=2).map(tuple)), max_size=2)


@st.composite
def planted_events(draw: st.DrawFn) -> InferenceEvent:
    return event(
        input_messages=tuple(draw(messages)),
        output_messages=tuple(draw(messages)),
        error_message=draw(st.none() | texts),
        status=draw(st.sampled_from(["ok", "error"])),
        parameters=draw(st.dictionaries(texts, trees, max_size=3)),
        attributes=draw(st.dictionaries(texts, texts, max_size=3)),
    )


@given(planted_events(), st.sampled_from([0.0, 1.0]))
def test_a_value_leaves_from_no_place_of_an_event(given: InferenceEvent, share: float) -> None:
    assert SECRET.encode() not in sent(given, gone, text_sample=share)


@given(planted_events())
def test_where_the_hook_fails_no_text_leaves_at_all(given: InferenceEvent) -> None:
    told = sent(given, fails)
    assert SECRET.encode() not in told
    contents = [part.content for message in given.input_messages for part in message.parts if part.content]
    assert told.count(WITHHELD.encode()) >= len(contents)


@given(events)
def test_a_hook_that_changes_nothing_changes_nothing(given: InferenceEvent) -> None:
    assert sent(given, str) == encode_event(given)


@given(events)
def test_names_ids_and_numbers_are_not_shown_to_the_hook(whole: InferenceEvent) -> None:
    masked = prepare(whole, MirrorSettings("k:9092", mask=lambda _: "masked"))
    assert isinstance(masked, InferenceEvent)
    blank: dict[str, Any] = {
        "input_messages": (),
        "output_messages": (),
        "error_message": None,
        "parameters": {},
        "attributes": {},
    }
    assert msgspec.structs.replace(masked, **blank) == msgspec.structs.replace(whole, **blank)
    kept = [(part.type, part.id, part.name) for message in masked.output_messages for part in message.parts]
    assert kept == [(part.type, part.id, part.name) for message in whole.output_messages for part in message.parts]


@pytest.mark.parametrize("answer", [None, 7, b"masked", ["masked"]])
def test_what_is_no_text_is_not_taken_for_masked(answer: Any) -> None:
    told = sent(event(input_messages=(text_message("user", SECRET),)), lambda _: answer)
    assert SECRET.encode() not in told
    assert WITHHELD.encode() in told


def test_content_that_is_no_text_is_withheld_from_a_hook_that_fails_on_it() -> None:
    odd = Part(type="text", content={"said": SECRET})  # type: ignore[arg-type]  # what an application may do all the same
    assert SECRET.encode() not in sent(event(input_messages=(Message(role="user", parts=(odd,)),)), gone)


def test_bytes_are_withheld_as_a_hook_for_texts_cannot_read_them() -> None:
    told = sent(event(parameters={"a": b"plain", "b": {"c": bytearray(b"plain")}}), gone)
    assert msgspec.json.decode(told)["parameters"] == {"a": WITHHELD, "b": {"c": WITHHELD}}


def test_text_is_masked_before_it_is_cut() -> None:
    text = "said, " * 3 + SECRET + " and more, " * 5
    told = sent(event(input_messages=(text_message("user", text),)), gone, max_text_characters=24)
    assert b"zq4" not in told


@given(planted)
def test_the_comment_of_feedback_is_masked(comment: str) -> None:
    feedback = FeedbackEvent(feedback_id="f", at=1.0, event_id="e", comment=comment, label="wrong", score=0.5)
    told = sent(feedback, gone)
    assert SECRET.encode() not in told
    assert msgspec.json.decode(told)["label"] == "wrong"
    assert SECRET.encode() not in sent(feedback, fails)


def test_without_a_hook_feedback_and_tensors_stay_as_they_are() -> None:
    feedback = FeedbackEvent(feedback_id="f", at=1.0, comment="as it was")
    assert prepare(feedback, MirrorSettings("k:9092")) is feedback
    tensors = event(input_tensors=(TensorSummary(name=SECRET, datatype="FP32", mean=0.5),))
    assert prepare(tensors, MirrorSettings("k:9092")) is tensors
