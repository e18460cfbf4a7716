"""Cut long text before it is sent, and keep how long it was."""

from __future__ import annotations

import msgspec

from inferwatch.events import InferenceEvent, Message, Part, Truncation


def truncate(event: InferenceEvent, most: int) -> InferenceEvent:
    """Return the event with every text part cut to `most` characters; the same object where nothing is longer."""
    if event.truncated is not None or not _is_long(event, most):
        return event
    return msgspec.structs.replace(
        event,
        input_messages=tuple(_cut(message, most) for message in event.input_messages),
        output_messages=tuple(_cut(message, most) for message in event.output_messages),
        truncated=Truncation(
            input_characters=_characters(event.input_messages),
            output_characters=_characters(event.output_messages),
        ),
    )


def _is_long(event: InferenceEvent, most: int) -> bool:
    messages = (*event.input_messages, *event.output_messages)
    return any(len(part.content or "") > most for message in messages for part in message.parts)


def _characters(messages: tuple[Message, ...]) -> int:
    return sum(len(part.content or "") for message in messages for part in message.parts)


def _cut(message: Message, most: int) -> Message:
    return msgspec.structs.replace(message, parts=tuple(_cut_part(part, most) for part in message.parts))


def _cut_part(part: Part, most: int) -> Part:
    if part.content is None or len(part.content) <= most:
        return part
    return msgspec.structs.replace(part, content=part.content[:most])
