"""openai's asynchronous client: what the application sees is the same, and what happened is recorded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import openai
import pydantic
import pytest

from inferwatch import context, text_message
from inferwatch.wrappers import unwrap, wrap_openai
from tests.integration.sdk.mirrored import Mirrored
from tests.integration.sdk.openai_server import OpenAIServer

ASKED: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def plain(openai_server: OpenAIServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="k", base_url=openai_server.url, max_retries=0) as client:
        yield client


@pytest.fixture
async def client(openai_server: OpenAIServer, mirrored: Mirrored) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="k", base_url=openai_server.url, max_retries=0) as made:
        yield wrap_openai(made, mirrored.mirror)


async def chat(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(**{"model": "m", "messages": ASKED, **more})


async def chat_stream(client: openai.AsyncOpenAI) -> list[Any]:
    stream = await chat(client, stream=True)
    assert isinstance(stream, openai.AsyncStream)
    async with stream:
        return [stream.response.status_code, await anext(stream), *[chunk async for chunk in stream]]


async def by_helper(client: openai.AsyncOpenAI) -> list[Any]:
    async with client.chat.completions.stream(model="m", messages=ASKED) as stream:
        return [*[type(event) async for event in stream], await stream.get_final_completion()]


async def raw_stream(client: openai.AsyncOpenAI) -> list[Any]:
    response = await client.chat.completions.with_raw_response.create(model="m", messages=ASKED, stream=True)
    parsed = response.parse()
    return [type(response), type(parsed), *[chunk async for chunk in parsed]]


async def streaming_response(client: openai.AsyncOpenAI) -> list[Any]:
    with_response = client.chat.completions.with_streaming_response
    async with with_response.create(model="m", messages=ASKED, stream=True) as response:
        parsed = await response.parse()
        return [type(response), type(parsed), *[chunk async for chunk in parsed]]


async def read_response(client: openai.AsyncOpenAI) -> list[Any]:
    async with client.chat.completions.with_streaming_response.create(model="m", messages=ASKED) as response:
        return [type(response), await response.json()]


WAYS: dict[str, Callable[[openai.AsyncOpenAI], Awaitable[Any]]] = {
    "chat": chat,
    "chat stream": chat_stream,
    "chat stream by helper": by_helper,
    "raw stream": raw_stream,
    "streaming response": streaming_response,
    "read response": read_response,
    "other options": lambda client: chat(client.with_options(timeout=9)),
}


def seen(given: Any) -> Any:
    """Types and content of whatever a client gives."""
    if isinstance(given, list):
        return [seen(item) for item in given]
    return type(given), given.model_dump() if isinstance(given, pydantic.BaseModel) else given


@pytest.mark.parametrize("way", WAYS)
async def test_the_application_gets_what_it_gets_without_and_it_is_recorded(
    way: str, plain: openai.AsyncOpenAI, client: openai.AsyncOpenAI, mirrored: Mirrored
) -> None:
    expected = seen(await WAYS[way](plain))
    with context(team="search"):
        assert seen(await WAYS[way](client)) == expected
    event = mirrored.event()
    assert (event.status, event.response_id, event.finish_reasons) == ("ok", "cmpl-1", ("stop",))
    assert event.output_messages[0].parts == text_message("assistant", "Hello there").parts
    assert (event.time_to_first_token is not None) == event.stream == ("stream" in way)
    assert event.team == "search"


async def test_usage_that_only_the_mirror_wants_is_kept_from_the_application(
    plain: openai.AsyncOpenAI, client: openai.AsyncOpenAI, mirrored: Mirrored
) -> None:
    expected = seen([chunk async for chunk in await chat(plain, stream=True)])
    wrap_openai(client, mirrored.mirror, include_usage=True)
    assert seen([chunk async for chunk in await chat(client, stream=True)]) == expected
    assert mirrored.event().output_tokens == 3


async def test_an_error_is_the_clients_own(client: openai.AsyncOpenAI, mirrored: Mirrored) -> None:
    with pytest.raises(openai.RateLimitError):
        await chat(client, model="429")
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "429")


async def test_a_stream_that_breaks_keeps_what_came(client: openai.AsyncOpenAI, mirrored: Mirrored) -> None:
    with pytest.raises(openai.APIConnectionError):
        [chunk async for chunk in await chat(client, model="broken", stream=True)]
    event = mirrored.event()
    assert (event.status, event.output_messages) == ("error", (text_message("assistant", "Hello"),))


async def test_a_task_that_is_cancelled_is_no_error(
    client: openai.AsyncOpenAI, mirrored: Mirrored, openai_server: OpenAIServer
) -> None:
    before = len(openai_server.bodies)
    task = asyncio.create_task(chat(client, model="slow"))
    while len(openai_server.bodies) == before:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (mirrored.event().status, mirrored.event().error_type) == ("cancelled", "CancelledError")


async def test_a_stream_that_is_left_early_is_cancelled(client: openai.AsyncOpenAI, mirrored: Mirrored) -> None:
    async with await chat(client, stream=True) as stream:
        await anext(stream)
    assert mirrored.event().status == "cancelled"


async def test_a_stream_that_is_dropped_is_cancelled(client: openai.AsyncOpenAI, mirrored: Mirrored) -> None:
    stream = await chat(client, stream=True)
    await anext(stream)
    await stream.response.aclose()
    del stream
    gc.collect()
    assert mirrored.event().status == "cancelled"


async def test_wrapping_twice_records_once_and_unwrapping_ends_it(
    plain: openai.AsyncOpenAI, mirrored: Mirrored
) -> None:
    assert wrap_openai(wrap_openai(plain, mirrored.mirror), mirrored.mirror) is plain
    await chat(plain)
    await chat(unwrap(plain))
    assert len(mirrored.events()) == 1
