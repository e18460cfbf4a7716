"""What passed becomes the right event: the routes of OpenAI."""

from typing import Any

import pytest

from ingest.sidecar.parse import parse
from tests.unit.sidecar.exchanges import CHAT, DEFAULTS, SSE, exchange, sse, texts


def test_chat() -> None:
    request: dict[str, Any] = {
        "model": "smollm2",
        "user": "u9",
        "temperature": 0.2,
        "tools": [{"type": "function"}],
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {}}]},
        ],
    }
    response = {
        "id": "chatcmpl-1",
        "model": "smollm2-135m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }
    event = parse(exchange(CHAT, request, response), DEFAULTS)
    assert texts(event) == [("system", "Be brief"), ("user", "Hi"), ("assistant", "Hello")]
    assert event.input_messages[1].parts[1].type == "image_url"
    assert (event.request_model, event.response_model, event.response_id) == ("smollm2", "smollm2-135m", "chatcmpl-1")
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens, event.reasoning_tokens) == (9, 4, 3, 1)
    assert (event.operation, event.user, event.parameters) == ("chat", "u9", {"temperature": 0.2})


def test_streamed_chat_joins_text_and_tool_calls() -> None:
    def delta(piece: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": piece, "finish_reason": reason}]}

    call = {"index": 0, "id": "t1", "function": {"name": "search", "arguments": '{"q":'}}
    rest = {"index": 0, "function": {"arguments": '"x"}'}}
    parts = [
        (100.1, sse(delta({"role": "assistant", "content": ""}))),
        (100.3, sse(delta({"content": "Let me "}), delta({"content": "look"}))),
        (100.5, sse(delta({"tool_calls": [call]}), delta({"tool_calls": [rest]}), delta({}, "tool_calls"))),
        (100.6, sse({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 7}}) + b"data: [DONE]\n\n"),
    ]
    request = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Find x"}]}
    event = parse(exchange(CHAT, request, parts, response_headers=SSE), DEFAULTS)
    (answer,) = event.output_messages
    assert [(part.type, part.content, part.name, part.arguments) for part in answer.parts] == [
        ("text", "Let me look", None, None),
        ("tool_call", None, "search", '{"q":"x"}'),
    ]
    assert event.time_to_first_token == pytest.approx(0.3)
    assert (event.input_tokens, event.output_tokens, event.finish_reasons) == (3, 7, ("tool_calls",))
    assert event.stream


def test_text_completion() -> None:
    response = {"id": "1", "choices": [{"index": 0, "text": "there", "finish_reason": "length"}]}
    event = parse(exchange("/v1/completions", {"model": "m", "prompt": "Hi"}, response), DEFAULTS)
    assert texts(event) == [("user", "Hi"), ("assistant", "there")]
    assert event.operation == "text_completion"


def test_embeddings() -> None:
    response = {
        "object": "list",
        "model": "minilm",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    asked = {"model": "embedder", "input": ["Hi", "there"], "encoding_format": "float"}
    event = parse(exchange("/v1/embeddings", asked, response), DEFAULTS)
    assert texts(event) == [("user", "Hi"), ("user", "there")]
    assert (event.operation, event.request_model, event.response_model) == ("embeddings", "embedder", "minilm")
    assert (event.input_tokens, event.output_tokens, event.token_source) == (4, 0, "reported")
    assert (event.parameters, event.output_messages, event.embedding) == ({"encoding_format": "float"}, (), None)


def test_an_embedding_of_token_numbers_has_no_text_to_show() -> None:
    event = parse(exchange("/v1/embeddings", {"model": "m", "input": [[1, 2], [3]]}, {"data": []}), DEFAULTS)
    assert (event.input_messages, event.content_unavailable) == ((), True)
