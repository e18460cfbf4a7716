"""Chat messages as applications hold them, in the shape of the event's: OpenTelemetry's GenAI messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

from inferwatch.events import Message, Part, text_message
from inferwatch.texts import as_text

_TEXT_PARTS: Final = ("text", "input_text", "output_text", "refusal")
_MESSAGE_FIELDS: Final = ("role", "content", "tool_calls", "tool_call_id")


def as_messages(given: object, role: str = "user") -> tuple[Message, ...]:
    """Return what was asked or answered as messages; a text is one of `role`.

    Takes a text, a `Message`, a message as OpenAI's API has it (a mapping, or an object such as `openai` returns, with
    `role` and `content`), and sequences of these; anything else counts as its text.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return (text_message(role, given),)
    if is_many(given):
        return tuple([_as_message(item, role) for item in given])
    return (_as_message(given, role),)


def is_many(given: object) -> TypeGuard[Sequence[object]]:
    """Whether something stands for messages one after the other: any sequence that is no text and no bytes."""
    return isinstance(given, Sequence) and not isinstance(given, str | bytes | bytearray | memoryview)


def _as_message(given: object, role: str) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping):
        return chat_message(given, role)
    if isinstance(getattr(given, "role", None), str):
        return chat_message({name: getattr(given, name, None) for name in _MESSAGE_FIELDS}, role)
    return text_message(role, given if isinstance(given, str) else str(given))


def chat_message(given: Mapping[str, Any], otherwise: str = "user") -> Message:
    """Return one message of OpenAI's chat API: text, parts, tool calls, the answer of a tool."""
    role, content = str(given.get("role") or otherwise), given.get("content")
    if role == "tool":
        answer = Part(type="tool_call_response", id=as_text(given.get("tool_call_id")), response=content)
        return Message(role=role, parts=(answer,))
    if isinstance(content, str) and not given.get("tool_calls"):
        return text_message(role, content)
    parts = [_part(item) for item in content] if isinstance(content, list | tuple) else []
    if isinstance(content, str):
        parts.append(Part(type="text", content=content))
    parts += [_tool_call(call) for call in given.get("tool_calls") or ()]
    return Message(role=role, parts=tuple(parts))


def _tool_call(call: object) -> Part:
    function = _of(call, "function")
    name, arguments = _of(function, "name"), _of(function, "arguments")
    return Part(type="tool_call", id=as_text(_of(call, "id")), name=name, arguments=arguments)


def _of(thing: object, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _part(item: object) -> Part:
    """Return text as text; of an image, sound or file only what it is."""
    if not isinstance(item, Mapping):
        return Part(type="text", content=str(item))
    if item.get("type") in _TEXT_PARTS:
        return Part(type="text", content=str(item.get("text") or item.get("refusal") or ""))
    return Part(type=str(item.get("type", "unknown")))
