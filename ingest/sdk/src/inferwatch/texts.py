"""Ids, names and attributes are texts, also where an application has numbers for them."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from inferwatch.events import FeedbackEvent, InferenceEvent

E = TypeVar("E", InferenceEvent, FeedbackEvent)

_NUMBERS: Final = (int, float)


def as_text(given: Any) -> Any:
    """Return a number as text, anything else as it is."""
    return str(given) if isinstance(given, _NUMBERS) else given


def _texts_of(kind: type[InferenceEvent | FeedbackEvent]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.type in (str, str | None))


_OF_INFERENCES: Final = _texts_of(InferenceEvent)
_OF_FEEDBACK: Final = _texts_of(FeedbackEvent)


def with_texts(event: E) -> E:
    """Return an event with texts in place of numbers wherever it has texts; the same object where there are none.

    Whatever else is no text is left, and shows when the event is encoded.
    """
    changed: dict[str, Any] = {}
    for name in _OF_FEEDBACK if isinstance(event, FeedbackEvent) else _OF_INFERENCES:
        if isinstance(value := getattr(event, name), _NUMBERS):
            changed[name] = as_text(value)
    if isinstance(event, InferenceEvent):
        attributes = event.attributes
        if attributes and any(isinstance(value, _NUMBERS) for value in attributes.values()):
            changed["attributes"] = {name: as_text(value) for name, value in attributes.items()}
    return msgspec.structs.replace(event, **changed) if changed else event
