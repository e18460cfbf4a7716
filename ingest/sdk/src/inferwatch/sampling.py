"""Which events keep their text, and what is left of those that do not: every number, and the lengths."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from inferwatch.events import InferenceEvent, Message, Part, Truncation, characters_of

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
    """Return an event without texts, with their lengths, from which tokens can still be estimated.

    Of parameters what is no text stays, and all attributes, which are names as those of models and teams are.
    """
    return msgspec.structs.replace(
        event,
        input_messages=tuple(map(_emptied, event.input_messages)),
        output_messages=tuple(map(_emptied, event.output_messages)),
        truncated=event.truncated
        or Truncation(
            input_characters=characters_of(event.input_messages),
            output_characters=characters_of(event.output_messages),
        ),
        parameters={name: value for name, value in event.parameters.items() if not _has_text(value)},
    )


def marked(event: InferenceEvent) -> InferenceEvent:
    """Return an event that says that its text was left out."""
    return msgspec.structs.replace(event, attributes={**event.attributes, SAMPLED_OUT: "true"})


def _has_text(value: object) -> bool:
    """Whether something is or has a text, or is of a kind that may become one."""
    if isinstance(value, list | tuple):
        return any(map(_has_text, value))
    return not (value is None or isinstance(value, bool | int | float))


def _emptied(message: Message) -> Message:
    parts = tuple(Part(type=part.type, content="", id=part.id, name=part.name) for part in message.parts)
    return msgspec.structs.replace(message, parts=parts)
