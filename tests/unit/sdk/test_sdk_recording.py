"""One inference as a context manager: what is timed, what is recorded, and that the application never pays."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from collections import UserList, deque
from collections.abc import Callable
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from inferwatch import Inference, InferenceEvent, Message, Part, text_message
from inferwatch.chat import as_messages
from tests.unit.sdk.events import HandClock


class Recorded:
    """Collects events; makes inferences with a clock that stands still."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.events: list[InferenceEvent] = []

    def inference(self, input: object = "hello", **fields: Any) -> Inference:
        return Inference(self.events.append, self.clock, "model-a", input, fields)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_a_response_that_was_not_streamed(recorded: Recorded) -> None:
    with recorded.inference(prompt_name="greeting") as inference:
        recorded.clock.move(0.25)
        inference.output("hi")
        inference.tokens(3, 1)
        inference.finish("stop")
    (event,) = recorded.events
    assert event.event_id == inference.event_id
    assert (event.started_at, event.duration, event.time_to_first_token, event.stream) == (1.7e9, 0.25, None, False)
    assert event.input_messages == (text_message("user", "hello"),)
    assert event.output_messages == (text_message("assistant", "hi"),)
    assert (event.input_tokens, event.output_tokens, event.token_source) == (3, 1, "reported")
    assert (event.status, event.finish_reasons, event.source, event.prompt_name) == ("ok", ("stop",), "sdk", "greeting")


def test_the_first_chunk_that_carries_text_stamps_the_time_to_first_token(recorded: Recorded) -> None:
    inference = recorded.inference()
    recorded.clock.move(5)  # the time starts with the block, not with the object
    with inference:
        recorded.clock.move(0.5)
        inference.chunk("")
        inference.chunk(None)
        recorded.clock.move(0.25)
        inference.chunk("a")
        recorded.clock.move(1)
        inference.chunk("b")
    (event,) = recorded.events
    assert (event.time_to_first_token, event.duration, event.stream) == (0.75, 1.75, True)
    assert event.output_messages == (text_message("assistant", "ab"),)


def test_no_output_is_no_message(recorded: Recorded) -> None:
    with recorded.inference(input=None) as inference:
        inference.chunk(None)
    (event,) = recorded.events
    assert (event.input_messages, event.output_messages, event.time_to_first_token) == ((), (), None)


def test_an_exception_is_recorded_and_passes_on(recorded: Recorded) -> None:
    inference = recorded.inference()
    inference.chunk("par")
    with pytest.raises(ConnectionError, match="no route"), inference:
        raise ConnectionError("no route")
    (event,) = recorded.events
    assert (event.status, event.error_type, event.error_message) == ("error", "ConnectionError", "no route")
    assert event.output_messages == (text_message("assistant", "par"),)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt])
def test_a_cancelled_inference_is_no_error(recorded: Recorded, kind: type[BaseException]) -> None:
    with pytest.raises(kind), recorded.inference():
        raise kind
    (event,) = recorded.events
    assert (event.status, event.error_type, event.error_message) == ("cancelled", kind.__name__, None)


def test_an_error_that_is_no_exception(recorded: Recorded) -> None:
    with recorded.inference() as inference:
        inference.error("503", "overloaded")
    (event,) = recorded.events
    assert (event.status, event.error_type, event.error_message) == ("error", "503", "overloaded")


@pytest.mark.parametrize("fields", [{"no_such_field": 1}, {"event_id": "twice"}, {"duration": 1}])
def test_a_wrong_field_is_logged_and_never_reaches_the_application(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    with recorded.inference(**fields):
        pass
    with pytest.raises(ValueError, match="the application's own"), recorded.inference(**fields):
        raise ValueError("the application's own")
    assert recorded.events == []
    assert [record.levelno for record in caplog.records if record.name == "inferwatch"] == [logging.WARNING] * 2


def test_output_that_is_no_text_never_reaches_the_application(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    with recorded.inference() as inference:
        inference.chunk(7)  # type: ignore[arg-type]  # what an application may do all the same
    assert recorded.events == []
    assert "could not be mirrored" in caplog.text


def test_the_prompt_is_what_it_was_when_the_inference_began(recorded: Recorded) -> None:
    conversation = [{"role": "user", "content": "one"}]
    with recorded.inference(input=conversation):
        conversation.append({"role": "assistant", "content": "two"})
    assert recorded.events[0].input_messages == (text_message("user", "one"),)


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        (None, ()),
        ("hi", (text_message("user", "hi"),)),
        (
            [{"role": "system", "content": "be kind"}, "hi"],
            (text_message("system", "be kind"), text_message("user", "hi")),
        ),
        ({"content": "alone"}, (text_message("user", "alone"),)),
        ([{"role": "assistant", "content": None}], (Message(role="assistant"),)),
        (Message(role="user", parts=(Part(type="x"),)), (Message(role="user", parts=(Part(type="x"),)),)),
        (b"ab", (text_message("user", "b'ab'"),)),
        (
            {"role": "tool", "tool_call_id": 7, "content": "sunny"},
            (Message(role="tool", parts=(Part(type="tool_call_response", id="7", response="sunny"),)),),
        ),
        (bytearray(b"ab"), (text_message("user", "bytearray(b'ab')"),)),
        (7, (text_message("user", "7"),)),
    ],
)
def test_a_prompt_may_have_many_forms(given: object, messages: tuple[Message, ...]) -> None:
    assert as_messages(given) == messages


def test_an_end_that_is_noticed_late_is_dated_back(recorded: Recorded) -> None:
    inference = recorded.inference()
    recorded.clock.move(2)
    heard = inference.elapsed()
    recorded.clock.move(60)
    inference.end(after=heard)
    assert recorded.events[0].duration == 2


def test_a_reason_of_none_leaves_the_one_that_was_said(recorded: Recorded) -> None:
    with recorded.inference() as inference:
        for reason in (None, "stop", None):
            inference.finish(reason)
    with recorded.inference() as inference:
        inference.finish(None)
    assert [event.finish_reasons for event in recorded.events] == [("stop",), ()]


def test_messages_and_tool_calls_may_be_objects_of_a_client_library() -> None:
    call = {"id": "1", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}, "type": "function"}
    answer = ChatCompletionMessage.model_validate({"role": "assistant", "content": "Let me see.", "tool_calls": [call]})
    expected = Message(
        role="assistant",
        parts=(
            Part(type="text", content="Let me see."),
            Part(type="tool_call", id="1", name="weather", arguments='{"city":"Bonn"}'),
        ),
    )
    as_dict = {"role": "assistant", "content": "Let me see.", "tool_calls": answer.tool_calls}
    assert as_messages([answer, as_dict, answer.model_dump()]) == (expected,) * 3


class Silent(Exception):
    """An exception that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_has_no_text_is_recorded_without(recorded: Recorded) -> None:
    with pytest.raises(Silent), recorded.inference():
        raise Silent
    (event,) = recorded.events
    assert (event.status, event.error_type, event.error_message) == ("error", "Silent", None)


def test_what_is_said_after_the_end_is_not_heard(recorded: Recorded) -> None:
    ended: list[Inference] = []
    inference = Inference(recorded.events.append, recorded.clock, "m", "hello", {}, ended.append)
    inference.output("hi")
    inference.end()
    inference.chunk("late")
    inference.first_token()
    inference.output("late")
    inference.output([{"role": "assistant", "content": "late"}])
    inference.tokens(1, 2)
    inference.finish("late")
    inference.error("late", "late")
    inference.set(content_unavailable=True)
    (event,) = (one.event() for one in ended)
    assert event.output_messages == (text_message("assistant", "hi"),)
    assert (event.time_to_first_token, event.stream, event.input_tokens, event.finish_reasons) == (
        None,
        False,
        None,
        (),
    )
    assert (event.status, event.error_type, event.content_unavailable) == ("ok", None, False)


class ListOfTheirs(list[Any]):
    """A list as libraries derive theirs."""


@pytest.mark.parametrize("kind", [list, tuple, ListOfTheirs, UserList, deque])
def test_every_message_of_any_sequence_is_kept_as_it_was(recorded: Recorded, kind: Callable[[Any], Any]) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:"}},
    ]
    asked = kind([{"role": "system", "content": "be kind"}, {"role": "user", "content": parts}])
    with recorded.inference(input=asked) as inference:
        inference.output(kind([{"role": "assistant", "content": "one"}, {"role": "assistant", "content": "two"}]))
        parts[0]["text"] = "changed"
    (event,) = recorded.events
    look = Message(role="user", parts=(Part(type="text", content="look"), Part(type="image_url")))
    assert event.input_messages == (text_message("system", "be kind"), look)
    assert event.output_messages == (text_message("assistant", "one"), text_message("assistant", "two"))


def test_a_stream_that_waits_holds_about_what_it_counts(recorded: Recorded) -> None:
    waiting: list[Inference] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            with Inference(recorded.events.append, recorded.clock, "m", "hello", {}, waiting.append) as inference:
                for number in range(1_000, 3_000):
                    inference.chunk(str(number))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 1.5 * sum(one.size for one in waiting)


def test_a_first_token_that_is_looked_at_late_came_when_it_came(recorded: Recorded) -> None:
    with recorded.inference() as inference:
        recorded.clock.move(2.0)
        inference.first_token(after=1.5)
        inference.first_token()
    assert recorded.events[0].time_to_first_token == 1.5
