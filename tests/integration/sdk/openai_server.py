"""A server that speaks OpenAI's API: what it answers is decided by the name of the model that is asked for."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 3,
    "total_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
RESPONSE_USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 10,
}


class OpenAIServer(ThreadingHTTPServer):
    """Remembers the bodies it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave, which is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextlib.contextmanager
def running_openai_server() -> Iterator[OpenAIServer]:
    """Run a server in threads of its own."""
    with OpenAIServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OpenAIServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        model = body["model"]
        if model.isdigit():
            error = {"message": "not today", "type": "test", "code": None, "param": None}
            self._json(int(model), {"error": error})
        elif model == "slow":
            self.rfile.read(1)  # until the client leaves
        elif body.get("stream"):
            self._stream(list(_events(self.path.removeprefix("/v1"), body)), broken=model == "broken")
        else:
            self._json(200, _answer(self.path.removeprefix("/v1"), body))

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: list[dict[str, Any]], *, broken: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        for line in lines[:2] if broken else [*lines, "data: [DONE]\n\n"]:
            self._chunk(line.encode())
        if broken:
            self.close_connection = True
        else:
            self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if path == "/embeddings":
        vectors = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        return {"object": "list", "data": vectors, "model": "m-1", "usage": usage}
    if path == "/responses":
        return _response("completed")
    tools = body.get("tools")
    message: dict[str, Any] = {"role": "assistant", "content": None if tools else "Hello there", "refusal": None}
    if tools:
        message["tool_calls"] = [CALL]
    choice: dict[str, Any] = {"index": 0, "finish_reason": "tool_calls" if tools else "stop", "logprobs": None}
    choice |= {"message": message} if path == "/chat/completions" else {"text": "Hello there"}
    return {**_head(path), "choices": [choice], "usage": USAGE}


def _events(path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if path == "/responses":
        yield from _response_events()
        return
    if body["model"] == "refused":
        yield {"error": {"message": "overloaded", "type": "server_error", "code": None}}
        return
    head = {**_head(path), "object": "chat.completion.chunk"}
    for delta, reason in _deltas(bool(body.get("tools"))):
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
        choice |= {"delta": delta} if path == "/chat/completions" else {"text": delta.get("content", "")}
        yield {**head, "choices": [choice]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": USAGE}


def _deltas(tools: bool) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": ""}, None
    if tools:
        function = CALL["function"]
        yield {"tool_calls": [{**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}]}, None
        for piece in ('{"city": ', '"Oslo"}'):
            assert piece in str(function)
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, None
        yield {}, "tool_calls"
    else:
        for piece in ("Hello", " there"):
            yield {"content": piece}, None
        yield {}, "stop"


def _head(path: str) -> dict[str, Any]:
    kind = "chat.completion" if path == "/chat/completions" else "text_completion"
    return {"id": "cmpl-1", "object": kind, "created": 1_700_000_000, "model": "m-1"}


def _response(status: str) -> dict[str, Any]:
    text = {"type": "output_text", "text": "Hello there", "annotations": []}
    message = {"type": "message", "id": "msg-1", "role": "assistant", "status": "completed", "content": [text]}
    call = {"type": "function_call", "id": "fc-1", "call_id": "call-1", "name": "weather", "status": "completed"}
    done = status == "completed"
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "model": "m-1",
        "output": [message, {**call, "arguments": '{"city": "Oslo"}'}] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSE_USAGE if done else None,
    }


def _response_events() -> Iterator[dict[str, Any]]:
    message = {"type": "message", "id": "msg-1", "role": "assistant", "status": "in_progress", "content": []}
    call = {"type": "function_call", "id": "fc-1", "call_id": "call-1", "name": "weather", "arguments": ""}
    part = {"type": "output_text", "text": "", "annotations": []}
    at = {"item_id": "msg-1", "output_index": 0, "content_index": 0}
    then = {"item_id": "fc-1", "output_index": 1}
    arguments = "response.function_call_arguments.delta"
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": message},
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": "Hello", "logprobs": []},
        {"type": "response.output_text.delta", **at, "delta": " there", "logprobs": []},
        {"type": "response.output_item.added", "output_index": 1, "item": {**call, "status": "in_progress"}},
        {"type": arguments, **then, "delta": '{"city": "Oslo"}'},
        {"type": "response.completed", "response": _response("completed")},
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}
