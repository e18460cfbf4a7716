"""The conversation of a span, wherever the package that made the span put it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from inferwatch.events import Message, Part, text_message
from ingest.collector.otlp import names
from ingest.collector.otlp.attributes import Attributes, as_text, from_json

Messages = tuple[Message, ...]
Event = tuple[str, Attributes]
"""Name and attributes of an event of a span."""

_MOST_MESSAGES: Final = 1_000
_MOST_SEGMENTS: Final = 8
_FILLERS: Final = frozenset({"message", "tool_call", "function", "message_content", "embedding", "prompt"})
"""Segments that OpenInference repeats in each name: `llm.input_messages.0.message.tool_calls.0.tool_call.id`."""
_CONTENT_PARTS: Final = ("text", "reasoning")
_CONTENT_EVENTS: Final = ("gen_ai.content.prompt", "gen_ai.content.completion")


def conversation(attributes: Attributes, events: Sequence[Event]) -> tuple[Messages, Messages]:
    """Return what went into a model and what came out; of several places the first that holds anything."""
    given = (
        _instructed(attributes, _listed(_first(attributes, names.INPUT_MESSAGES), "user"))
        or _indexed(attributes, names.INDEXED_INPUT, "user")
        or _indexed(attributes, names.INDEXED_TEXTS, "user")
        or _from_events(events, choices=False)
        or _listed(_first(attributes, names.OLD_INPUT), "user")
        or _plain_value(attributes, names.INPUT_VALUE, "user")
    )
    made = (
        _listed(_first(attributes, names.OUTPUT_MESSAGES), "assistant")
        or _indexed(attributes, names.INDEXED_OUTPUT, "assistant")
        or _from_events(events, choices=True)
        or _listed(_first(attributes, names.OLD_OUTPUT), "assistant")
        or _plain_value(attributes, names.OUTPUT_VALUE, "assistant")
    )
    return given[:_MOST_MESSAGES], made[:_MOST_MESSAGES]


def _first(attributes: Attributes, which: Iterable[str]) -> Any:
    return next((attributes[name] for name in which if attributes.get(name)), None)


def _instructed(attributes: Attributes, messages: Messages) -> Messages:
    """Put system instructions that stand apart before the conversation, unless it has them too."""
    parts = from_json(_first(attributes, names.SYSTEM_INSTRUCTIONS))
    if not isinstance(parts, list) or any(message.role == "system" for message in messages):
        return messages
    return (Message(role="system", parts=tuple(map(_part, parts))), *messages)


def _listed(value: Any, role: str) -> Messages:
    """Read a list of messages, or one, as JSON or as attributes."""
    decoded = from_json(value)
    if decoded is None and isinstance(value, str):
        return (text_message(role, value),)
    items = decoded if isinstance(decoded, list) else [decoded]
    return tuple(_message(item, role) for item in items if isinstance(item, dict | str))


def _message(item: dict[str, Any] | str, role: str) -> Message:
    if isinstance(item, str):
        return text_message(role, item)
    if isinstance(item.get("message"), dict):
        item = {**item, **item["message"]}
    # "unknown" is what OpenLLMetry says of chunks.
    role = str(item["role"]) if item.get("role") not in (None, "", "unknown") else role
    given = item.get("parts")
    parts = [_part(part) for part in given] if isinstance(given, list) else _old_parts(item, role)
    reason = item.get("finish_reason")
    return Message(role=role, parts=tuple(parts), finish_reason=reason if isinstance(reason, str) else None)


def _part(item: Any) -> Part:
    """Read a part in the shape of the GenAI message schemas; of an image, sound or file only what it is."""
    if not isinstance(item, dict):
        return Part(type="text", content=as_text(item))
    kind = str(item.get("type") or "text")
    if kind == "tool_call":
        return Part(type=kind, id=_name(item, "id"), name=_name(item, "name"), arguments=item.get("arguments"))
    if kind == "tool_call_response":
        return Part(type=kind, id=_name(item, "id"), response=item.get("response", item.get("result")))
    content = item.get("content", item.get("text"))
    return (
        Part(type=kind, content=as_text(content)) if kind in _CONTENT_PARTS and content is not None else Part(type=kind)
    )


def _old_parts(item: Mapping[str, Any], role: str) -> list[Part]:
    """Read `content` and `tool_calls` as OpenAI's API and the packages that follow it have them."""
    content = item.get("content", item.get("text", item.get("contents")))
    if role == "tool":
        answered = _name(item, "tool_call_id") or _name(item, "id")
        return [Part(type="tool_call_response", id=answered, response=content)]
    parts = []
    if isinstance(content, list):
        parts = [_part(part) for part in content]
    elif content is not None:
        parts = [Part(type="text", content=as_text(content))]
    for call in _list(item.get("tool_calls")):
        called = call.get("function")
        function = called if isinstance(called, dict) else call
        arguments = function.get("arguments")
        parts.append(Part(type="tool_call", id=_name(call, "id"), name=_name(function, "name"), arguments=arguments))
    return parts


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _name(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name)
    return None if value is None else str(value)


def _indexed(attributes: Attributes, prefixes: Iterable[str], role: str) -> Messages:
    """Read one attribute for each field of each message."""
    for prefix in prefixes:
        tree = _tree(attributes, f"{prefix}.")
        if tree:
            return tuple(_message(_lists(item), role) for item in _in_order(tree))
    return ()


def _tree(attributes: Attributes, prefix: str) -> dict[str, Any]:
    """Return `PREFIX.0.tool_calls.1.id` and the like as nested dictionaries, fillers left out."""
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if not name.startswith(prefix):
            continue
        path = [part for part in name[len(prefix) :].split(".") if part not in _FILLERS]
        if not 2 <= len(path) <= _MOST_SEGMENTS or not path[0].isdecimal():
            continue
        last = path.pop()
        place = tree
        for step in path:
            below = place.setdefault(step, {})
            if not isinstance(below, dict):
                below = place[step] = {}
            place = below
        place[last] = value
    return tree


def _in_order(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what stands under numbers, in their order."""
    numbers = sorted((int(key), key) for key in tree if key.isdecimal() and len(key) < 10)
    return [tree[key] for _, key in numbers if isinstance(tree[key], dict)]


def _lists(item: dict[str, Any]) -> dict[str, Any]:
    """Return a message whose `tool_calls` and `contents` are lists."""
    return {name: _in_order(value) if isinstance(value, dict) else value for name, value in item.items()}


def _from_events(events: Sequence[Event], *, choices: bool) -> Messages:
    """Read events of the span that stand for a message each, as earlier conventions had them."""
    found: list[Message] = []
    for name, attributes in events:
        if name in _CONTENT_EVENTS:
            if name.endswith("completion") == choices:
                wanted = names.OLD_OUTPUT if choices else names.OLD_INPUT
                found += _listed(_first(attributes, wanted), "assistant" if choices else "user")
        elif name == "gen_ai.choice":
            if choices:
                found.append(_message(_event_body(attributes), "assistant"))
        elif not choices and name.startswith("gen_ai.") and name.endswith(".message"):
            found.append(_message(_event_body(attributes), name.split(".")[1]))
    return tuple(found)


def _event_body(attributes: Attributes) -> dict[str, Any]:
    """Return an event's attributes with what some packages put into one of them as JSON."""
    body = from_json(attributes.get("gen_ai.event.content"))
    nested = {name: from_json(attributes[name]) for name in ("message", "tool_calls") if name in attributes}
    return {**attributes, **(body if isinstance(body, dict) else {}), **nested}


def _plain_value(attributes: Attributes, which: Iterable[str], role: str) -> Messages:
    value = _first(attributes, which)
    return () if value is None else (text_message(role, as_text(value)),)
