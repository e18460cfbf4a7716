"""OpenAI's answers, as plain JSON: however a stream is cut into chunks, what was said is the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.events import Message, Part, text_message
from inferwatch.wrappers.openai_answer import Completion
from inferwatch.wrappers.openai_request import provider_of, request_fields, request_messages
from inferwatch.wrappers.openai_responses import ResponseAnswer
from tests.unit.sdk.wrappers.recorded import RecordedMirror


def told(answer: Any) -> Any:
    """The event of an answer."""
    mirror = RecordedMirror()
    inference = mirror.inference("m")
    answer.tell(inference)
    inference.end()
    return mirror.event()


def chunk(index: int = 0, reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


pieces = st.lists(st.text(max_size=3), max_size=6)


@given(pieces, pieces, pieces)
def test_chunks_join_to_what_was_said(texts: list[str], thoughts: list[str], arguments: list[str]) -> None:
    answer = Completion()
    for thought in thoughts:
        assert answer.add(chunk(reasoning_content=thought)) == bool(thought)
    for text in texts:
        assert answer.add(chunk(content=text)) == bool(text)
    answer.add(chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f"}}]))
    for piece in arguments:
        assert answer.add(chunk(tool_calls=[{"index": 0, "function": {"arguments": piece}}]))
    assert not answer.whole
    answer.add(chunk(reason="tool_calls"))
    assert answer.whole
    parts = [Part(type="reasoning", content="".join(thoughts))] if any(thoughts) else []
    parts += [Part(type="text", content="".join(texts))] if any(texts) else []
    parts.append(Part(type="tool_call", id="c", name="f", arguments="".join(arguments)))
    expected = Message(role="assistant", parts=tuple(parts), finish_reason="tool_calls")
    assert told(answer).output_messages == (expected,)


def test_choices_that_come_interleaved_stay_apart() -> None:
    answer = Completion()
    for index, text in ((1, "b"), (0, "a"), (1, "d"), (0, "c")):
        answer.add(chunk(index, content=text))
    answer.add(chunk(0, "stop"))
    assert not answer.whole
    answer.add(chunk(1, "length"))
    event = told(answer)
    assert [message.parts[0].content for message in event.output_messages] == ["ac", "bd"]
    assert event.finish_reasons == ("stop", "length")


def test_several_tool_calls_in_one_message() -> None:
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    answer = Completion()
    answer.add({"choices": [{"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]})
    expected = tuple(Part(type="tool_call", id=name, name=name, arguments="{}") for name in "ab")
    assert told(answer).output_messages[0].parts == expected


def test_a_refusal_is_text() -> None:
    answer = Completion()
    answer.add({"choices": [{"index": 0, "message": {"refusal": "no"}, "finish_reason": "stop"}]})
    assert told(answer).output_messages[0].parts == (Part(type="text", content="no"),)


@pytest.mark.parametrize(
    ("kind", "reason", "status"),
    [
        ("response.completed", "completed", "ok"),
        ("response.incomplete", "max_output_tokens", "ok"),
        ("response.failed", "failed", "error"),
    ],
)
def test_the_last_event_of_a_response_says_how_it_ended(kind: str, reason: str, status: str) -> None:
    response: dict[str, Any] = {"id": "r", "status": reason, "output": []}
    if kind == "response.incomplete":
        response |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
    if kind == "response.failed":
        response["error"] = {"code": "server_error", "message": "no"}
    answer = ResponseAnswer()
    answer.add({"type": kind, "response": response})
    event = told(answer)
    assert answer.whole
    assert (event.finish_reasons, event.status, event.response_id) == ((reason,), status, "r")


def test_an_error_event_is_an_error() -> None:
    answer = ResponseAnswer()
    answer.add({"type": "error", "code": "overloaded", "message": "no"})
    assert (told(answer).status, told(answer).error_type) == ("error", "overloaded")


def test_items_of_a_response_other_than_text_are_named() -> None:
    thought = {"type": "reasoning", "summary": [{"text": "hm"}]}
    answer = ResponseAnswer()
    answer.add({"id": "r", "status": "completed", "output": [thought, {"type": "web_search_call"}]})
    parts = (Part(type="reasoning", content="hm"), Part(type="web_search_call"))
    assert told(answer).output_messages[0].parts == parts


@pytest.mark.parametrize(
    ("path", "body", "messages"),
    [
        ("/completions", {"prompt": "a"}, (text_message("user", "a"),)),
        ("/completions", {"prompt": ["a", "b"]}, (text_message("user", "a"), text_message("user", "b"))),
        ("/embeddings", {"input": ["a"]}, (text_message("user", "a"),)),
        ("/responses", {"input": "a", "instructions": "b"}, (text_message("system", "b"), text_message("user", "a"))),
        (
            "/responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image"}]},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "rain"},
                    {"type": "reasoning"},
                ]
            },
            (
                Message(role="user", parts=(Part(type="text", content="a"), Part(type="input_image"))),
                Message(role="assistant", parts=(Part(type="tool_call", id="c", name="f", arguments="{}"),)),
                Message(role="tool", parts=(Part(type="tool_call_response", id="c", response="rain"),)),
                Message(role="assistant", parts=(Part(type="reasoning"),)),
            ),
        ),
    ],
)
def test_prompts_have_many_forms(path: str, body: dict[str, Any], messages: tuple[Message, ...]) -> None:
    assert request_messages(path, body) == messages
    assert "content_unavailable" not in request_fields(path, body)


@pytest.mark.parametrize(("path", "name"), [("/completions", "prompt"), ("/embeddings", "input")])
@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_prompts_that_are_numbers_of_tokens_are_not_readable(path: str, name: str, tokens: list[Any]) -> None:
    assert request_messages(path, {name: tokens}) == ()
    assert request_fields(path, {name: tokens})["content_unavailable"] is True


def test_settings_are_kept_and_content_is_not() -> None:
    body = {"model": "m", "messages": [], "tools": [{}], "temperature": 0.5, "stop": ["."], "user": "u", "stream": True}
    fields = request_fields("/chat/completions", body)
    assert (fields["parameters"], fields["user"], fields["stream"]) == ({"temperature": 0.5, "stop": ["."]}, "u", True)


def test_the_provider_is_told_by_the_host() -> None:
    hosts = ("api.openai.com", "x.openai.azure.com", "triton.internal")
    assert [provider_of(host).get("provider") for host in hosts] == ["openai", "azure.ai.openai", None]
