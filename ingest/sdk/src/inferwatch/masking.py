"""Masking at the edge: a hook of the application sees every free text before it leaves the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from inferwatch.events import FeedbackEvent, InferenceEvent, Message, Part

Mask = Callable[[str], str]
"""Returns a text without what must not leave the process. It runs in the mirror's background thread."""

WITHHELD: Final = "<WITHHELD>"
"""Stands for a text that the hook failed on: what could not be masked does not leave."""


def mask_event(event: InferenceEvent, mask: Mask) -> InferenceEvent:
    """Return an event with every free text masked: messages, tool calls, error, parameters and attributes."""
    return msgspec.structs.replace(
        event,
        input_messages=tuple(_message(message, mask) for message in event.input_messages),
        output_messages=tuple(_message(message, mask) for message in event.output_messages),
        error_message=_text(event.error_message, mask),
        parameters=_tree(event.parameters, mask),
        attributes=_tree(event.attributes, mask),
    )


def mask_feedback(event: FeedbackEvent, mask: Mask) -> FeedbackEvent:
    """Return feedback with its comment masked."""
    return msgspec.structs.replace(event, comment=_text(event.comment, mask))


def _message(message: Message, mask: Mask) -> Message:
    return msgspec.structs.replace(message, parts=tuple(_part(part, mask) for part in message.parts))


def _part(part: Part, mask: Mask) -> Part:
    return msgspec.structs.replace(
        part,
        content=_text(part.content, mask),
        arguments=_tree(part.arguments, mask),
        response=_tree(part.response, mask),
    )


def _text(text: str | None, mask: Mask) -> str | None:
    if not text:
        return text
    try:
        masked = mask(text)
    except BaseException:
        # Whatever a hook raises, also `SystemExit` or what extensions derive from nothing less.
        return WITHHELD
    return masked if isinstance(masked, str) else WITHHELD


def _tree(value: Any, mask: Mask) -> Any:
    """Mask every text in what JSON can say, keys of mappings too: applications put anything there."""
    if isinstance(value, str):
        return _text(value, mask)
    if isinstance(value, dict):
        return {_tree(key, mask): _tree(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tree(item, mask) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return WITHHELD
    # Data classes, sets, dates and the like become texts on the wire: they are masked as what they become.
    return _tree(msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview), str_keys=True), mask)
