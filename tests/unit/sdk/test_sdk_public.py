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
from inferwatch.truncation import truncate
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
    assert {field.name for field in fields(MirrorSettings) if not field.repr} == {"kafka"}


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
    assert [part.content for part in cut.input_messages[0].parts] == [text[:most] for text in asked]
    assert [message.parts[0].content for message in cut.output_messages] == [text[:most] for text in made]
    assert cut.truncated is not None
    assert cut.truncated.input_characters == sum(map(len, asked))
    assert cut.truncated.output_characters == sum(map(len, made))
    assert truncate(cut, 1).truncated == cut.truncated


def test_a_part_without_text_is_left_alone() -> None:
    call = Part(type="tool_call", name="f", arguments={"a": 1})
    cut = truncate(event(input_messages=(Message(role="user", parts=(call, Part(type="text", content="abc"))),)), 2)
    assert cut.input_messages[0].parts == (call, Part(type="text", content="ab"))
