"""Step 2: events that decode but cannot be true."""

from __future__ import annotations

import math
import uuid
from typing import Final

from inferwatch.events import InferenceEvent

MOST_ATTRIBUTES: Final = 256
MOST_TOKENS: Final = 2**32 - 1


def invalid_because(event: InferenceEvent, now: float, past_days: float, future_seconds: float) -> str | None:
    """Return why an event cannot be processed, as a path and a reason that does not quote it, or None."""
    try:
        uuid.UUID(event.event_id)
    except ValueError:
        return "$.event_id: not a UUID"
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
        if seconds is not None and (not math.isfinite(seconds) or seconds < 0):
            return f"$.{name}: negative or not a number"
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens"):
        tokens = getattr(event, name)
        if tokens is not None and not 0 <= tokens <= MOST_TOKENS:
            return f"$.{name}: not between 0 and {MOST_TOKENS}"
    if len(event.attributes) > MOST_ATTRIBUTES:
        return f"$.attributes: more than {MOST_ATTRIBUTES}"
    if not event.model:
        return "$.request_model: neither it nor response_model is set"
    return None
