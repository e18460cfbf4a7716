"""What applications import, and the small pure parts: ids, settings, names, truncation."""

from __future__ import annotations

import types
import uuid
from dataclasses import fields

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import inferwatch
from inferwatch import InferenceEvent, Message, MirrorSettings, Part, SettingError, new_event_id, text_message
from inferwatch.semconv import ATTRIBUTE_OF_FIELD
from inferwatch.truncation import CUT_MARK, shorten, truncate, without_torn_end
from tests.unit.sdk.events import event


def test_the_public_names_are_those_of_all() -> None:
    names = {
        name
        for name, value in vars(inferwatch).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert sorted(names) == inferwatch.__all__


@given(st.integers(0, 2**48 - 1))
def test_ids_are_version_7_uuids_of_their_time(milliseconds: int) -> None:
    made = uuid.UUID(new_event_id(milliseconds))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, milliseconds)


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, unique=True))
def test_ids_sort_by_time(moments: list[int]) -> None:
    ids = sorted(map(new_event_id, moments))
    assert [uuid.UUID(made).int >> 80 for made in ids] == sorted(moments)


def test_ids_of_one_moment_differ() -> None:
    assert len({new_event_id(5) for _ in range(1000)}) == 1000


def test_every_attribute_is_one_of_a_field() -> None:
    assert ATTRIBUTE_OF_FIELD.keys() <= {field.name for field in msgspec.structs.fields(InferenceEvent)}
    assert len(set(ATTRIBUTE_OF_FIELD.values())) == len(ATTRIBUTE_OF_FIELD)


def test_the_model_is_the_one_that_answered() -> None:
    assert event(request_model="asked", response_model="answered").model == "answered"
    assert event(request_model="asked").model == "asked"


@pytest.mark.parametrize(
    "name", ["max_events", "max_bytes", "max_text_characters", "events_per_record", "record_bytes"]
)
def test_a_size_below_one_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingError, match=rf"^{name} is 0; expected a number of at least 1$") as caught:
        MirrorSettings("k:9092", **{name: 0})  # type: ignore[arg-type]  # the name is a parameter of the test
    assert (caught.value.name, caught.value.value) == (name, 0)


@pytest.mark.parametrize("name", ["linger", "delivery_timeout", "flush_timeout"])
def test_negative_seconds_are_refused_by_name(name: str) -> None:
    with pytest.raises(SettingError, match=rf"^{name} is -1; expected seconds"):
        MirrorSettings("k:9092", **{name: -1})  # type: ignore[arg-type]  # the name is a parameter of the test


def test_no_brokers_are_refused() -> None:
    with pytest.raises(SettingError, match="bootstrap_servers is ''; expected host:port"):
        MirrorSettings("")


def test_settings_do_not_show_a_password() -> None:
    assert "geheim" not in repr(MirrorSettings("k:9092", kafka={"sasl.password": "geheim"}))
    assert {field.name for field in fields(MirrorSettings) if not field.repr} == {"api_key", "kafka"}


@given(st.lists(st.text(max_size=30), max_size=4), st.lists(st.text(max_size=30), max_size=4), st.integers(1, 20))
def test_truncation_cuts_every_part_and_keeps_the_lengths(asked: list[str], made: list[str], most: int) -> None:
    whole = event(
        input_messages=(Message(role="user", parts=tuple(Part(type="text", content=text) for text in asked)),),
        output_messages=tuple(text_message("assistant", text) for text in made),
    )
    cut = truncate(whole, most)
    if all(len(text) <= most for text in asked + made):
        assert cut is whole
        return
    assert [part.content for part in cut.input_messages[0].parts] == [shorten(text, most) for text in asked]
    assert [message.parts[0].content for message in cut.output_messages] == [shorten(text, most) for text in made]
    assert cut.truncated is not None
    assert cut.truncated.input_characters == sum(map(len, asked))
    assert cut.truncated.output_characters == sum(map(len, made))
    assert truncate(cut, 1).truncated == cut.truncated


@pytest.mark.parametrize("name", ["content", "response", "arguments"])
@given(text=st.text(max_size=60), most=st.integers(1, 20))
def test_texts_of_tools_are_cut_as_any_text(name: str, text: str, most: int) -> None:
    def holding(value: str) -> tuple[Message, ...]:
        return (Message(role="tool", parts=(Part(**{"type": "tool", name: value}),)),)

    cut = truncate(event(input_messages=holding(text), output_messages=holding(text)), most)
    assert cut.input_messages == cut.output_messages == holding(shorten(text, most))
    as_text = truncate(event(input_messages=(text_message("user", text),)), most).truncated
    assert (cut.truncated is None) == (as_text is None)
    if cut.truncated is not None and as_text is not None:
        assert cut.truncated.input_characters == cut.truncated.output_characters == as_text.input_characters
        assert cut.truncated.input_sha256 == cut.truncated.output_sha256 == as_text.input_sha256


def test_the_text_of_an_error_is_cut() -> None:
    cut = truncate(event(status="error", error_message="no, " * 100), 20)
    assert cut.error_message == "no, " * 4 + "no," + CUT_MARK
    assert cut.truncated is None


def test_a_part_without_text_is_left_alone() -> None:
    call = Part(type="tool_call", name="f", arguments={"a": 1})
    cut = truncate(event(input_messages=(Message(role="user", parts=(call, Part(type="text", content="a\nbc"))),)), 3)
    assert cut.input_messages[0].parts == (call, Part(type="text", content="a\n…"))


VALUES = [
    "alice.smith@example.org",
    "4111 1111 1111 1111",
    "4111111111111111",
    "GB29 NWBK 6016 1331 9268 19",
    "078-05-1120",
    "+44 20 7946 0958",
    "(555)  123 - 4567",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9." + "a" * 500 + ".c2ln",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_cut_never_leaves_a_part_of_a_personal_value(value: str) -> None:
    before, text = "please note it ", f"please note it {value} before anything else is said about it"
    for most in range(1, len(text)):
        kept = without_torn_end(text, most)
        assert len(kept) <= most
        assert kept.endswith(CUT_MARK)
        left = kept.removesuffix(CUT_MARK)
        assert text.startswith(left)
        assert value in left or before.startswith(left), most


@given(st.text(alphabet="ab1@ .,\n中文。", max_size=60), st.integers(1, 60))
def test_a_cut_is_a_beginning_of_the_text_and_never_longer_than_asked(text: str, most: int) -> None:
    kept = shorten(text, most)
    assert len(kept) <= most
    assert kept == text if len(text) <= most else text.startswith(kept.removesuffix(CUT_MARK))


@pytest.mark.parametrize("text", ["word " * 100, "one, 2, " * 60, "1 2 3 4\n" * 60, "中文没有空格" * 80])
def test_a_cut_loses_little_of_ordinary_text(text: str) -> None:
    assert 180 < len(without_torn_end(text, 200)) <= 200
