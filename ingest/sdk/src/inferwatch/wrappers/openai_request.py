"""Event fields from a request to an OpenAI-compatible API: a pure function of its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from inferwatch.chat import chat_message
from inferwatch.events import Message, Part, text_message

OPERATIONS: Final[dict[str, str]] = {
    "/chat/completions": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
    "/responses": "chat",
}
"""What each route that is mirrored does; of other routes nothing is recorded."""

_CONTENT: Final = ("model", "messages", "prompt", "input", "instructions", "stream", "user")
_STRUCTURED: Final = ("stop", "stream_options", "logit_bias")


def request_messages(path: str, body: Mapping[str, Any]) -> Sequence[Message | Any]:
    """Return what was asked, as `Mirror.inference` takes it."""
    if path == "/chat/completions":
        return tuple(body.get("messages") or ())
    if path == "/responses":
        return (*_instructions(body), *_items(body.get("input")))
    given = body.get("prompt") if path == "/completions" else body.get("input")
    texts = given if isinstance(given, list) else [given]
    return tuple(text_message("user", text) for text in texts if isinstance(text, str))


def request_fields(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return event fields of a request, its messages apart."""
    fields: dict[str, Any] = {
        "operation": OPERATIONS[path],
        "parameters": {name: value for name, value in body.items() if _is_parameter(name, value)},
        "stream": bool(body.get("stream")),
    }
    if isinstance(body.get("user"), str):
        fields["user"] = body["user"]
    # Prompts may also be given as numbers of tokens, which say nothing without their tokenizer.
    content = body.get("prompt", body.get("input"))
    if isinstance(content, list) and content and path != "/responses" and not isinstance(content[0], str):
        fields["content_unavailable"] = True
    return fields


def provider_of(host: str) -> dict[str, str]:
    """Return the field `provider` where the host says it; others are taken for Triton, as the event's default is."""
    if host == "api.openai.com":
        return {"provider": "openai"}
    return {"provider": "azure.ai.openai"} if host.endswith(".openai.azure.com") else {}


def _is_parameter(name: str, value: object) -> bool:
    """Keep settings and leave out content such as tool definitions."""
    plain = value is None or isinstance(value, str | int | float | bool)
    return name not in _CONTENT and (plain or name in _STRUCTURED)


def _instructions(body: Mapping[str, Any]) -> tuple[Message, ...]:
    given = body.get("instructions")
    return (text_message("system", given),) if isinstance(given, str) else ()


def _items(given: object) -> tuple[Message, ...]:
    """Return the items that the responses API takes as input."""
    if isinstance(given, str):
        return (text_message("user", given),)
    return tuple(_item(item) for item in given if isinstance(item, Mapping)) if isinstance(given, list) else ()


def _item(item: Mapping[str, Any]) -> Message:
    kind = item.get("type", "message")
    if kind == "message":
        return chat_message(item)
    if kind == "function_call":
        call = Part(type="tool_call", id=item.get("call_id"), name=item.get("name"), arguments=item.get("arguments"))
        return Message(role="assistant", parts=(call,))
    if kind == "function_call_output":
        answer = Part(type="tool_call_response", id=item.get("call_id"), response=item.get("output"))
        return Message(role="tool", parts=(answer,))
    return Message(role=str(item.get("role") or "assistant"), parts=(Part(type=str(kind)),))
