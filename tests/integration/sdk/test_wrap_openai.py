"""openai's blocking client: what the application sees is the same, and what happened is recorded."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest

from inferwatch import Part, text_message
from inferwatch.wrappers import UnknownClientError, faults, unwrap, wrap_openai
from tests.integration.sdk.mirrored import Mirrored
from tests.integration.sdk.openai_server import CALL, OpenAIServer
from tests.unit.sdk.events import HandClock

ASKED: list[Any] = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
TOOL_CALL = Part(type="tool_call", id="call-1", name="weather", arguments='{"city": "Oslo"}')


class Told(pydantic.BaseModel):
    """What a model was made to answer, loosely enough for any text."""

    model_config = pydantic.ConfigDict(extra="allow")


@pytest.fixture
def plain(openai_server: OpenAIServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=openai_server.url, max_retries=0) as client:
        yield client


@pytest.fixture
def client(openai_server: OpenAIServer, mirrored: Mirrored) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=openai_server.url, max_retries=0) as made:
        yield wrap_openai(made, mirrored.mirror)


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "m", "messages": ASKED, **more})


def seen(given: Any) -> Any:
    """Types and content of whatever a client gives."""
    if isinstance(given, pydantic.BaseModel):
        return type(given), given.model_dump()
    if isinstance(given, list):
        return [seen(item) for item in given]
    return type(given), given


def streamed(stream: Any) -> list[Any]:
    assert isinstance(stream, openai.Stream)
    with stream:
        return [stream.response.status_code, next(stream), *stream]


def by_helper(client: openai.OpenAI) -> list[Any]:
    with client.chat.completions.stream(model="m", messages=ASKED) as stream:
        return [*(type(event) for event in stream), stream.get_final_completion()]


def responses_by_helper(client: openai.OpenAI) -> list[Any]:
    with client.responses.stream(model="m", input="hi") as stream:
        return [*(event.type for event in stream), stream.get_final_response()]


def unread_stream(client: openai.OpenAI) -> list[str]:
    with client.chat.completions.with_streaming_response.create(model="m", messages=ASKED, stream=True) as response:
        return list(response.iter_lines())


def streaming_response(client: openai.OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(model="m", messages=ASKED) as response:
        return [type(response), response.parse()]


def raw(client: openai.OpenAI, **more: Any) -> Any:
    response = client.chat.completions.with_raw_response.create(**{"model": "m", "messages": ASKED, **more})
    parsed = response.parse()
    return [type(response), response.status_code, type(parsed), *(parsed if more else [parsed])]


WAYS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "chat": chat,
    "chat with tools": lambda client: chat(client, tools=TOOLS),
    "chat stream": lambda client: streamed(chat(client, stream=True)),
    "chat stream with tools": lambda client: streamed(chat(client, stream=True, tools=TOOLS)),
    "chat stream with usage": lambda client: streamed(
        chat(client, stream=True, stream_options={"include_usage": True})
    ),
    "chat stream by helper": by_helper,
    "completion": lambda client: client.completions.create(model="m", prompt="hi"),
    "completion stream": lambda client: streamed(client.completions.create(model="m", prompt="hi", stream=True)),
    "embeddings": lambda client: client.embeddings.create(model="m", input="hi", encoding_format="float"),
    "response": lambda client: client.responses.create(model="m", input="hi", instructions="be kind"),
    "response stream": lambda client: streamed(client.responses.create(model="m", input="hi", stream=True)),
    "response stream by helper": responses_by_helper,
    "raw": raw,
    "raw stream": lambda client: raw(client, stream=True),
    "streaming response": streaming_response,
    "streaming response unread": unread_stream,
    "other options": lambda client: chat(client.with_options(timeout=9)),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_the_application_gets_is_what_it_gets_without(
    way: str, plain: openai.OpenAI, client: openai.OpenAI, mirrored: Mirrored, openai_server: OpenAIServer
) -> None:
    expected = seen(WAYS[way](plain))
    assert seen(WAYS[way](client)) == expected
    assert openai_server.bodies[-1] == openai_server.bodies[-2]
    assert mirrored.event().status == "ok"


CHAT = {
    "operation": "chat",
    "request_model": "m",
    "response_model": "m-1",
    "response_id": "cmpl-1",
    "input_messages": (text_message("system", "be kind"), text_message("user", "hi")),
    "finish_reasons": ("stop",),
}
USAGE = {
    "input_tokens": 7,
    "output_tokens": 3,
    "cache_read_tokens": 4,
    "reasoning_tokens": 1,
    "token_source": "reported",
}
RESPONSE = {**USAGE, "operation": "chat", "response_model": "m-1", "response_id": "resp-1"}


@pytest.mark.parametrize(
    ("way", "fields"),
    [
        ("chat", {**CHAT, **USAGE, "stream": False}),
        ("chat with tools", {**CHAT, **USAGE, "finish_reasons": ("tool_calls",)}),
        ("chat stream", {**CHAT, "stream": True, "output_tokens": None, "token_source": None}),
        ("chat stream with tools", {**CHAT, "stream": True, "finish_reasons": ("tool_calls",)}),
        ("chat stream with usage", {**CHAT, **USAGE, "stream": True}),
        ("chat stream by helper", {**CHAT, "stream": True}),
        ("completion", {**USAGE, "operation": "text_completion", "finish_reasons": ("stop",)}),
        ("completion stream", {"operation": "text_completion", "stream": True, "finish_reasons": ("stop",)}),
        ("embeddings", {"operation": "embeddings", "input_tokens": 2, "output_tokens": None}),
        ("response", {**RESPONSE, "finish_reasons": ("completed",), "input_messages": CHAT["input_messages"]}),
        ("response stream", {**RESPONSE, "stream": True}),
        ("response stream by helper", {**RESPONSE, "stream": True}),
        ("raw", {**CHAT, **USAGE}),
        ("raw stream", {**CHAT, "stream": True}),
        ("streaming response", {**CHAT, **USAGE}),
        ("streaming response unread", {"stream": True, "content_unavailable": True}),
    ],
)
def test_what_happened_is_recorded(way: str, fields: dict[str, Any], client: openai.OpenAI, mirrored: Mirrored) -> None:
    WAYS[way](client)
    event = mirrored.event()
    assert {name: getattr(event, name) for name in fields} == fields
    if not event.content_unavailable and event.operation != "embeddings":
        (message,) = event.output_messages
        tools, both = "tools" in way, "response" in way and "streaming" not in way
        expected = () if tools else (Part(type="text", content="Hello there"),)
        assert message.parts == (*expected, *((TOOL_CALL,) if tools or both else ()))
        assert (event.time_to_first_token is not None) == event.stream


def test_the_server_is_asked_for_usage_and_the_application_does_not_notice(
    plain: openai.OpenAI, client: openai.OpenAI, mirrored: Mirrored, openai_server: OpenAIServer
) -> None:
    expected = seen(list(chat(plain, stream=True)))
    wrap_openai(client, mirrored.mirror, include_usage=True, provider="vllm")
    assert seen(list(chat(client, stream=True))) == expected
    assert openai_server.bodies[-1]["stream_options"] == {"include_usage": True}
    event = mirrored.event()
    assert (event.input_tokens, event.output_tokens, event.provider) == (7, 3, "vllm")
    assert "stream_options" not in event.parameters


def test_an_application_that_wants_no_usage_is_not_overruled(
    client: openai.OpenAI, mirrored: Mirrored, openai_server: OpenAIServer
) -> None:
    wrap_openai(client, mirrored.mirror, include_usage=True)
    list(chat(client, stream=True, stream_options={"include_usage": False}))
    assert openai_server.bodies[-1]["stream_options"] == {"include_usage": False}
    assert mirrored.event().output_tokens is None


@pytest.mark.parametrize(("model", "kind"), [("429", openai.RateLimitError), ("500", openai.InternalServerError)])
def test_errors_are_the_clients_own_and_are_recorded_by_their_status(
    model: str, kind: type[openai.APIStatusError], client: openai.OpenAI, mirrored: Mirrored
) -> None:
    with pytest.raises(kind, match="not today") as caught:
        chat(client, model=model)
    assert caught.value.response.status_code == int(model)
    event = mirrored.event()
    assert (event.status, event.error_type, event.error_message) == ("error", model, "not today")


def test_retries_belong_to_their_inference(
    client: openai.OpenAI, mirrored: Mirrored, openai_server: OpenAIServer
) -> None:
    before = len(openai_server.bodies)
    with pytest.raises(openai.InternalServerError):
        chat(client.with_options(max_retries=1), model="503")
    assert len(openai_server.bodies) - before == 2
    assert mirrored.event().error_type == "503"


def test_a_server_that_is_not_there(mirrored: Mirrored) -> None:
    client = wrap_openai(openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1", max_retries=0), mirrored.mirror)
    with client, pytest.raises(openai.APIConnectionError):
        chat(client)
    assert mirrored.event().error_type == "APIConnectionError"


def test_a_server_that_takes_too_long(client: openai.OpenAI, mirrored: Mirrored) -> None:
    with pytest.raises(openai.APITimeoutError):
        chat(client, model="slow", timeout=0.05)
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "APITimeoutError")


def test_a_stream_that_breaks_keeps_what_came(client: openai.OpenAI, mirrored: Mirrored) -> None:
    stream = chat(client, model="broken", stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Hello"]
    with pytest.raises(openai.APIConnectionError):
        next(stream)
    event = mirrored.event()
    assert (event.status, event.error_type) == ("error", "APIConnectionError")
    assert event.output_messages == (text_message("assistant", "Hello"),)


def test_an_error_in_a_stream(client: openai.OpenAI, mirrored: Mirrored) -> None:
    with pytest.raises(openai.APIError, match="overloaded"):
        list(chat(client, model="refused", stream=True))
    event = mirrored.event()
    assert (event.status, event.error_type, event.error_message) == ("error", "APIError", "overloaded")


def test_a_stream_that_is_closed_early_is_cancelled_with_what_came(client: openai.OpenAI, mirrored: Mirrored) -> None:
    with chat(client, stream=True) as stream:
        assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Hello"]
    event = mirrored.event()
    assert (event.status, event.output_messages) == ("cancelled", (text_message("assistant", "Hello"),))


def test_a_stream_that_is_dropped_is_cancelled_with_what_came(client: openai.OpenAI, mirrored: Mirrored) -> None:
    for chunk in chat(client, stream=True):
        if chunk.choices[0].delta.content == "Hello":
            break
    gc.collect()
    event = mirrored.event()
    assert (event.status, event.output_messages) == ("cancelled", (text_message("assistant", "Hello"),))


def test_a_stream_that_is_dropped_lasted_until_what_came_last(plain: openai.OpenAI) -> None:
    clock = HandClock()
    mirrored = Mirrored(clock=clock)
    stream = chat(wrap_openai(plain, mirrored.mirror), stream=True)
    next(stream)
    clock.move(60)
    del stream
    gc.collect()
    assert (mirrored.event().status, mirrored.event().duration) == ("cancelled", 0)


def test_a_stream_that_nobody_reads_is_cancelled(client: openai.OpenAI, mirrored: Mirrored) -> None:
    chat(client, stream=True).close()
    event = mirrored.event()
    assert (event.status, event.output_messages) == ("cancelled", ())


def test_a_stream_that_is_left_after_its_last_word_is_not_cancelled(client: openai.OpenAI, mirrored: Mirrored) -> None:
    with chat(client, stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert mirrored.event().status == "ok"


def test_a_stream_of_responses_that_is_left_keeps_what_came(client: openai.OpenAI, mirrored: Mirrored) -> None:
    with client.responses.create(model="m", input="hi", stream=True) as stream:
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                break
    recorded = mirrored.event()
    assert recorded.status == "cancelled"
    assert recorded.output_messages[0].parts == (Part(type="text", content="Hello there"), TOOL_CALL)


def test_a_conversation_with_a_tool(client: openai.OpenAI, mirrored: Mirrored) -> None:
    answer: dict[str, Any] = {"role": "tool", "tool_call_id": "call-1", "content": "rain"}
    chat(client, messages=[*ASKED, {"role": "assistant", "tool_calls": [CALL]}, answer])
    called, answered = mirrored.event().input_messages[2:]
    assert called.parts == (TOOL_CALL,)
    assert answered.parts == (Part(type="tool_call_response", id="call-1", response="rain"),)


def test_parsed_answers_that_cannot_be_parsed_are_recorded_all_the_same(
    client: openai.OpenAI, mirrored: Mirrored
) -> None:
    with pytest.raises(pydantic.ValidationError):
        client.chat.completions.parse(model="m", messages=ASKED, response_format=Told)
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "ValidationError")


def test_the_client_stays_what_it_was(plain: openai.OpenAI, mirrored: Mirrored) -> None:
    chat_before, kind = plain.chat, type(plain)
    assert wrap_openai(plain, mirrored.mirror) is plain
    assert type(plain) is kind
    assert plain.chat is chat_before
    assert plain.request.__name__ == "request"


def test_wrapping_twice_records_once_and_unwrapping_ends_it(plain: openai.OpenAI, mirrored: Mirrored) -> None:
    wrap_openai(wrap_openai(plain, Mirrored().mirror), mirrored.mirror)
    chat(plain)
    assert unwrap(plain) is plain
    assert not {"request", "copy", "with_options"} & vars(plain).keys()
    chat(plain)
    assert len(mirrored.events()) == 1


def test_requests_that_are_no_inference_are_left_alone(client: openai.OpenAI, mirrored: Mirrored) -> None:
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="404", prompt="a sea")
    assert mirrored.events() == []


def test_a_mirror_that_fails_is_not_noticed(
    plain: openai.OpenAI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored = Mirrored()
    monkeypatch.setattr(mirrored.mirror, "inference", lambda *_, **__: 1 / 0)
    expected = seen(list(chat(plain, stream=True)))
    before = sum(faults().values())
    wrap_openai(plain, mirrored.mirror)
    for _ in range(3):
        assert seen(list(chat(plain, stream=True))) == expected
    assert sum(faults().values()) - before == 3
    assert len(caplog.records) <= 1


def test_what_is_no_client_is_refused(mirrored: Mirrored) -> None:
    with pytest.raises(UnknownClientError, match=r"^builtins.str is not a client of openai"):
        wrap_openai("client", mirrored.mirror)
