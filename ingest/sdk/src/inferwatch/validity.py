"""What decodes and yet cannot be true: rules for inferences and feedback, whoever looks at them.

The collector refuses by them what it is sent, and its sender hears of it; workers make dead letters of the rest. A
reason never quotes what was sent.
"""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass
from typing import Final

from inferwatch.events import FeedbackEvent, InferenceEvent, Truncation

MOST_ATTRIBUTES: Final = 256
MOST_TOKENS: Final = 2**32 - 1
MOST_NAME_CHARACTERS: Final = 256
MOST_DIMENSIONS: Final = 8192
LARGEST_COMPONENT: Final = 1e6
"""Of an embedding: squares of such numbers are still far from what single floats can hold."""

NAMES: Final = (
    *("environment", "service", "team", "user", "operation", "provider", "request_model", "response_model"),
    *("model_version", "prompt_name", "prompt_version", "error_type", "trace_id", "span_id", "parent_span_id"),
    *("conversation_id", "response_id"),
)
TIMES: Final = ("time_to_first_token", "queue_time", "compute_time")
TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")
_SHA256: Final = re.compile("[0-9a-fA-F]{64}")
_DAY: Final = 86_400

Reason = tuple[str, str]
"""A path such as `$.duration`, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The times that are believed: at `now`, in Unix seconds, so many days back and seconds ahead."""

    now: float
    past_days: float
    future_seconds: float

    @property
    def first(self) -> float:
        """The earliest time, in Unix seconds."""
        return self.now - self.past_days * _DAY

    @property
    def last(self) -> float:
        """The latest time, in Unix seconds."""
        return self.now + self.future_seconds


def inference_invalid(event: InferenceEvent, bounds: Bounds) -> Reason | None:
    """Return why an inference cannot be true, None where it can."""
    return (
        id_invalid("event_id", event.event_id)
        or _span(event.started_at, event.duration, bounds)
        or _numbers(event, bounds)
        or (_truncated(event.truncated) if event.truncated is not None else None)
        or names_invalid(event, NAMES)
        or _sizes(event)
    )


def feedback_invalid(event: FeedbackEvent, bounds: Bounds) -> Reason | None:
    """Return why feedback cannot be stored, None where it can."""
    if not event.feedback_id:
        return "$.feedback_id", "empty"
    if event.event_id is None and not event.response_id:
        return "$.event_id", "neither it nor response_id is set"
    if event.score is not None and not math.isfinite(event.score):
        return "$.score", "not a number"
    return (
        moment_invalid("at", event.at, bounds)
        or (id_invalid("event_id", event.event_id) if event.event_id is not None else None)
        or names_invalid(event, ("feedback_id", "response_id", "label"))
    )


def in_words(reason: Reason | None) -> str | None:
    """Return a reason in one piece, as dead letters have it."""
    return None if reason is None else ": ".join(reason)


def id_invalid(name: str, text: str) -> Reason | None:
    """Return why an id is none, None where it is a UUID in its usual form.

    The store reads neither braces nor `urn:uuid:`, which Python's own reader takes.
    """
    try:
        usual = str(uuid.UUID(text)) == text.lower()
    except ValueError:
        usual = False
    return None if usual else (f"$.{name}", "not a UUID of 36 characters")


def moment_invalid(name: str, at: float, bounds: Bounds) -> Reason | None:
    """Return why a moment is not believed, None where it is."""
    if bounds.first <= at <= bounds.last:
        return None
    ago, ahead = f"more than {bounds.past_days:g} days ago", f"more than {bounds.future_seconds:g} seconds from now"
    return f"$.{name}", f"{ago}, or {ahead}"


def names_invalid(event: object, names: tuple[str, ...]) -> Reason | None:
    """Return which of some names is too long, None where none is."""
    for name in names:
        if len(getattr(event, name) or "") > MOST_NAME_CHARACTERS:
            return f"$.{name}", f"more than {MOST_NAME_CHARACTERS} characters"
    return None


def _span(started_at: float, duration: float, bounds: Bounds) -> Reason | None:
    if not math.isfinite(started_at):
        return "$.started_at", "not a number"
    if started_at < bounds.first:
        return "$.started_at", f"more than {bounds.past_days:g} days ago"
    if not math.isfinite(duration) or duration < 0:
        return "$.duration", "negative or not a number"
    if started_at + duration > bounds.last:
        return "$.started_at", f"ends more than {bounds.future_seconds:g} seconds from now"
    return None


def _numbers(event: InferenceEvent, bounds: Bounds) -> Reason | None:
    for name in TIMES:
        seconds = getattr(event, name)
        if seconds is not None and not 0 <= seconds <= bounds.past_days * _DAY + bounds.future_seconds:
            return f"$.{name}", "negative, too long or not a number"
    for name in TOKENS:
        tokens = getattr(event, name)
        if tokens is not None and not 0 <= tokens <= MOST_TOKENS:
            return f"$.{name}", f"not between 0 and {MOST_TOKENS}"
    return None


def _truncated(cut: Truncation) -> Reason | None:
    for name in ("input_characters", "output_characters"):
        if not 0 <= getattr(cut, name) <= MOST_TOKENS:
            return f"$.truncated.{name}", f"not between 0 and {MOST_TOKENS}"
    for name in ("input_sha256", "output_sha256"):
        text = getattr(cut, name)
        if text and not _SHA256.fullmatch(text):
            return f"$.truncated.{name}", "not a SHA-256 in hexadecimal"
    return None


def _sizes(event: InferenceEvent) -> Reason | None:
    vector = event.embedding or ()
    if len(vector) > MOST_DIMENSIONS or not all(abs(number) <= LARGEST_COMPONENT for number in vector):
        return "$.embedding", f"more than {MOST_DIMENSIONS} numbers, or one beyond {LARGEST_COMPONENT:g}"
    if len(event.attributes) > MOST_ATTRIBUTES:
        return "$.attributes", f"more than {MOST_ATTRIBUTES}"
    if not event.model:
        return "$.request_model", "neither it nor response_model is set"
    return None
