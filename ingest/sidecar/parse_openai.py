"""The OpenAI-compatible routes: chat and text completions, streamed or not, and embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from inferwatch.chat import chat_message
from inferwatch.events import Message, Part, text_message
from ingest.sidecar.content import (
    is_event_stream,
    join,
    json_object,
    request_is_whole,
    request_pieces,
    response_is_whole,
    response_pieces,
    server_sent_events,
)
from ingest.sidecar.exchange import Exchange, Kind

_NOT_PARAMETERS: Final = ("model", "messages", "prompt", "input", "stream", "user")
_OPERATIONS: Final[dict[Kind, str]] = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
_END: Final = "[DONE]"


def parse_openai(exchange: Exchange) -> dict[str, Any]:
    """Return event fields of an exchange of these kinds. Raises `ContentError` where it is not JSON."""
    request = json_object(join(request_pieces(exchange)), request_is_whole(exchange), "request")
    answer = _Answer()
    for at, response in _responses(exchange):
        answer.add(at - exchange.started, response)
    given = request or {}
    fields: dict[str, Any] = {
        "operation": _OPERATIONS[exchange.route.kind],
        "request_model": str(given.get("model") or ""),
        "input_messages": _input_messages(given),
        "parameters": {name: value for name, value in given.items() if _is_parameter(name, value)},
        "stream": bool(given.get("stream")) or is_event_stream(exchange),
        **answer.fields(),
    }
    if not is_event_stream(exchange):
        fields.pop("time_to_first_token", None)
    if exchange.route.kind == "embedding":
        fields["output_messages"] = ()
        if fields.get("input_tokens") is not None:
            fields["output_tokens"] = 0
    if isinstance(given.get("user"), str):
        fields["user"] = given["user"]
    unanswered = exchange.code.startswith("2") and exchange.outcome == "complete" and not answer.seen
    fields["content_unavailable"] = request is None or unanswered or _is_of_tokens(given.get("input"))
    return fields


def _responses(exchange: Exchange) -> Iterator[tuple[float, dict[str, Any]]]:
    pieces = response_pieces(exchange) if exchange.code.startswith("2") else None
    if pieces is None:
        return
    whole = response_is_whole(exchange)
    if is_event_stream(exchange):
        for at, data in server_sent_events(pieces):
            if data.strip() != _END and (response := json_object(data.encode(), whole, "response")) is not None:
                yield at, response
    elif (response := json_object(join(pieces), whole, "response")) is not None:
        yield exchange.response.last or exchange.ended, response


class _Choice:
    """One of the answers asked for, joined from its pieces."""

    def __init__(self) -> None:
        self.role = "assistant"
        self.text: list[str] = []
        self.calls: dict[int, dict[str, str]] = {}
        self.reason: str | None = None

    def add(self, choice: Mapping[str, Any]) -> bool:
        """Take a piece in; return whether it carries output."""
        piece = choice.get("delta") or choice.get("message") or {}
        text = piece.get("content") or choice.get("text") or ""
        self.role = piece.get("role") or self.role
        self.reason = choice.get("finish_reason") or self.reason
        self.text.append(str(text))
        calls = piece.get("tool_calls") or []
        for position, call in enumerate(calls):
            known = self.calls.setdefault(call.get("index", position), {"id": "", "name": "", "arguments": ""})
            function = call.get("function") or {}
            known["id"] = call.get("id") or known["id"]
            known["name"] += function.get("name") or ""
            known["arguments"] += function.get("arguments") or ""
        return bool(text or calls)

    def message(self) -> Message:
        """Return what was said."""
        text = "".join(self.text)
        parts = [Part(type="text", content=text)] if text or not self.calls else []
        parts += [Part(type="tool_call", **call) for call in self.calls.values()]
        return Message(role=self.role, parts=tuple(parts), finish_reason=self.reason)


class _Answer:
    """Everything that the responses said."""

    def __init__(self) -> None:
        self.seen = False
        self._choices: dict[int, _Choice] = {}
        self._fields: dict[str, Any] = {}

    def add(self, after: float, response: Mapping[str, Any]) -> None:
        """Take one response, or one chunk of it, in."""
        self.seen = True
        if "error" in response:
            error_type, message = error_of(response["error"])
            self._fields |= {"status": "error", "error_type": error_type or "stream_error", "error_message": message}
        for choice in response.get("choices") or []:
            known = self._choices.setdefault(choice.get("index", 0), _Choice())
            if known.add(choice):
                self._fields.setdefault("time_to_first_token", after)
        for field, name in (("response_id", "id"), ("response_model", "model")):
            if response.get(name):
                self._fields[field] = str(response[name])
        if response.get("usage"):
            self._fields |= _usage(response["usage"])

    def fields(self) -> dict[str, Any]:
        """Return event fields."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {
            **self._fields,
            "output_messages": tuple(choice.message() for choice in choices),
            "finish_reasons": tuple(choice.reason for choice in choices if choice.reason),
        }


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    given = usage.get("prompt_tokens_details") or {}
    made = usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "cache_read_tokens": given.get("cached_tokens"),
        "reasoning_tokens": made.get("reasoning_tokens"),
        "token_source": "reported",
    }


def error_of(error: object) -> tuple[str | None, str]:
    """Return type and message of an error as OpenAI's or Triton's JSON carries it."""
    if not isinstance(error, dict):
        return None, str(error)
    error_type = error.get("type") or error.get("code")
    return None if error_type is None else str(error_type), str(error.get("message", ""))


def _input_messages(request: Mapping[str, Any]) -> tuple[Message, ...]:
    given = request.get("prompt", request.get("input"))
    if given is not None:
        prompts = given if isinstance(given, list) else [given]
        return tuple(text_message("user", prompt) for prompt in prompts if isinstance(prompt, str))
    return tuple(chat_message(message) for message in request.get("messages") or () if isinstance(message, dict))


def _is_of_tokens(given: object) -> bool:
    """Whether the input of an embedding is numbers of tokens instead of text."""
    return isinstance(given, list) and any(not isinstance(item, str) for item in given)


def _is_parameter(name: str, value: object) -> bool:
    """Keep settings and leave out content such as tool definitions."""
    plain = value is None or isinstance(value, str | int | float | bool)
    return name not in _NOT_PARAMETERS and (plain or name in ("stop", "stream_options", "logit_bias"))
