"""What decodes and yet cannot be true. Refused here, its sender hears of it; later it would be a dead letter.

The rules are those of `processors.enrich.validate` and `processors.feedback.rows`; a test holds both to one answer.
"""

from __future__ import annotations

import math
import re
import uuid
from typing import Final

from inferwatch.events import SCHEMA_VERSION, FeedbackEvent, InferenceEvent, TelemetryEvent

PAST_SECONDS: Final = 30 * 86_400.0
FUTURE_SECONDS: Final = 300.0
MOST_ATTRIBUTES: Final = 256
MOST_COUNT: Final = 2**32 - 1
MOST_NAME_CHARACTERS: Final = 256
MOST_DIMENSIONS: Final = 8192
LARGEST_COMPONENT: Final = 1e6

NAMES: Final = (
    *("environment", "service", "team", "user", "operation", "provider", "request_model", "response_model"),
    *("model_version", "prompt_name", "prompt_version", "error_type", "trace_id", "span_id", "parent_span_id"),
    *("conversation_id", "response_id"),
)
_TIMES: Final = ("time_to_first_token", "queue_time", "compute_time")
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")
_SHA256: Final = re.compile("[0-9a-fA-F]{64}")

Reason = tuple[str, str]
"""A path such as `$.duration`, and what is wrong there."""


def event_invalid(event: InferenceEvent, now: float) -> Reason | None:
    """Return why an inference cannot be true at `now`, None where it can."""
    return (
        version_invalid(event.schema_version)
        or (None if is_uuid(event.event_id) else ("$.event_id", "not a UUID of 36 characters"))
        or _span(event.started_at, event.duration, now)
        or _numbers(event)
        or _truncated(event)
        or names_invalid(event, NAMES)
        or _sizes(event)
    )


def feedback_invalid(event: FeedbackEvent, now: float) -> Reason | None:
    """Return why feedback cannot be stored at `now`, None where it can."""
    if not event.feedback_id:
        return "$.feedback_id", "empty"
    if event.event_id is None and not event.response_id:
        return "$.event_id", "neither it nor response_id is set"
    if event.event_id is not None and not is_uuid(event.event_id):
        return "$.event_id", "not a UUID of 36 characters"
    if event.score is not None and not math.isfinite(event.score):
        return "$.score", "not a number"
    return (
        version_invalid(event.schema_version)
        or moment_invalid("at", event.at, now)
        or names_invalid(event, ("feedback_id", "response_id", "label"))
    )


def is_uuid(text: str) -> bool:
    """Whether it is a UUID in its usual form, without braces or `urn:uuid:`."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def version_invalid(version: int) -> Reason | None:
    """Return why a schema version is not understood here, None where it is."""
    if version > SCHEMA_VERSION:
        return "$.schema_version", f"newer than {SCHEMA_VERSION}, the newest known here"
    return None


def moment_invalid(name: str, at: float, now: float) -> Reason | None:
    """Return why a moment is too long ago or ahead, None where it is not."""
    if not now - PAST_SECONDS <= at <= now + FUTURE_SECONDS:
        return f"$.{name}", "more than 30 days ago, or more than 5 minutes from now"
    return None


def _span(started_at: float, duration: float, now: float) -> Reason | None:
    if not math.isfinite(started_at) or started_at < now - PAST_SECONDS:
        return "$.started_at", "more than 30 days ago, or not a number"
    if not math.isfinite(duration) or duration < 0:
        return "$.duration", "negative or not a number"
    if started_at + duration > now + FUTURE_SECONDS:
        return "$.started_at", "ends more than 5 minutes from now"
    return None


def _numbers(event: InferenceEvent) -> Reason | None:
    for name in _TIMES:
        seconds = getattr(event, name)
        if seconds is not None and not 0 <= seconds <= PAST_SECONDS + FUTURE_SECONDS:
            return f"$.{name}", "negative, too long or not a number"
    for name in _TOKENS:
        tokens = getattr(event, name)
        if tokens is not None and not 0 <= tokens <= MOST_COUNT:
            return f"$.{name}", f"not between 0 and {MOST_COUNT}"
    return None


def _truncated(event: InferenceEvent) -> Reason | None:
    cut = event.truncated
    if cut is None:
        return None
    for name in ("input_characters", "output_characters"):
        if not 0 <= getattr(cut, name) <= MOST_COUNT:
            return f"$.truncated.{name}", f"not between 0 and {MOST_COUNT}"
    for name in ("input_sha256", "output_sha256"):
        text = getattr(cut, name)
        if text and not _SHA256.fullmatch(text):
            return f"$.truncated.{name}", "not a SHA-256 in hexadecimal"
    return None


def names_invalid(event: InferenceEvent | FeedbackEvent | TelemetryEvent, names: tuple[str, ...]) -> Reason | None:
    """Return which of some names is too long, None where none is."""
    for name in names:
        if len(getattr(event, name) or "") > MOST_NAME_CHARACTERS:
            return f"$.{name}", f"more than {MOST_NAME_CHARACTERS} characters"
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
