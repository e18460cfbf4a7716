"""Step 2: events that decode but cannot be true."""

from __future__ import annotations

import math
import uuid
from typing import Final

from inferwatch.events import InferenceEvent

MOST_ATTRIBUTES: Final = 256
MOST_TOKENS: Final = 2**32 - 1
MOST_NAME_CHARACTERS: Final = 256
MOST_DIMENSIONS: Final = 8192
LARGEST_COMPONENT: Final = 1e6
"""Of an embedding: squares of such numbers are still far from what single floats can hold."""


def invalid_because(event: InferenceEvent, now: float, past_days: float, future_seconds: float) -> str | None:
    """Return why an event cannot be processed, as a path and a reason that does not quote it, or None."""
    if not _is_uuid(event.event_id):
        return "$.event_id: not a UUID of 36 characters"
    if not math.isfinite(event.started_at):
        return "$.started_at: not a number"
    if event.started_at < now - past_days * 86_400:
        return f"$.started_at: more than {past_days:g} days ago"
    if not math.isfinite(event.duration) or event.duration < 0:
        return "$.duration: negative or not a number"
    if event.started_at + event.duration > now + future_seconds:
        return f"$.started_at: ends more than {future_seconds:g} seconds from now"
    for name in ("time_to_first_token", "queue_time", "compute_time"):
        seconds = getattr(event, name)
        if seconds is not None and not 0 <= seconds <= past_days * 86_400 + future_seconds:
            return f"$.{name}: negative, too long or not a number"
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens"):
        tokens = getattr(event, name)
        if tokens is not None and not 0 <= tokens <= MOST_TOKENS:
            return f"$.{name}: not between 0 and {MOST_TOKENS}"
    if event.truncated is not None:
        for name in ("input_characters", "output_characters"):
            if not 0 <= getattr(event.truncated, name) <= MOST_TOKENS:
                return f"$.truncated.{name}: not between 0 and {MOST_TOKENS}"
    for name in ("environment", "service", "team", "request_model", "response_model", "model_version"):
        if len(getattr(event, name) or "") > MOST_NAME_CHARACTERS:
            return f"$.{name}: more than {MOST_NAME_CHARACTERS} characters"
    vector = event.embedding or ()
    if len(vector) > MOST_DIMENSIONS or not all(abs(x) <= LARGEST_COMPONENT for x in vector):
        return f"$.embedding: more than {MOST_DIMENSIONS} numbers, or one beyond {LARGEST_COMPONENT:g}"
    if len(event.attributes) > MOST_ATTRIBUTES:
        return f"$.attributes: more than {MOST_ATTRIBUTES}"
    if not event.model:
        return "$.request_model: neither it nor response_model is set"
    return None


def _is_uuid(text: str) -> bool:
    """Only the usual form: the store reads neither braces nor `urn:uuid:`, which Python's own reader takes."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
