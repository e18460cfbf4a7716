"""Which events keep their text, and what is left of those that do not: every number, and the lengths."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from inferwatch.events import InferenceEvent, Message, Part, Truncation

SAMPLED_OUT: Final = "inferwatch.text.sampled_out"
"""Attribute of events whose text was left out by sampling."""


def keeps_text(event: InferenceEvent, share: float) -> bool:
    """Whether the text of an event is among the `share` that is kept; that of an error always is.

    What belongs to one trace or, where there is none, one conversation is kept or left out together, by every process
    that looks at it.
    """
    if share >= 1.0 or event.status == "error":
        return True
    together = event.trace_id or event.conversation_id or event.event_id
    return zlib.crc32(together.encode("utf-8", "replace")) < share * 2**32


def without_text(event: InferenceEvent) -> InferenceEvent:
    """Return an event without texts, with their lengths, from which tokens can still be estimated."""
    return msgspec.structs.replace(
        event,
        input_messages=tuple(map(_emptied, event.input_messages)),
        output_messages=tuple(map(_emptied, event.output_messages)),
        truncated=event.truncated
        or Truncation(
            input_characters=_characters(event.input_messages), output_characters=_characters(event.output_messages)
        ),
        attributes={**event.attributes, SAMPLED_OUT: "true"},
    )


def _emptied(message: Message) -> Message:
    parts = tuple(Part(type=part.type, content="", id=part.id, name=part.name) for part in message.parts)
    return msgspec.structs.replace(message, parts=parts)


def _characters(messages: tuple[Message, ...]) -> int:
    return sum(len(part.content or "") for message in messages for part in message.parts)
