"""Step 2: events that decode but cannot be true.

`suspects` looks at all events of a batch at once and may suspect too many, never too few; `invalid_because` looks at
one event and decides.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inferwatch.events import InferenceEvent
from processors.enrich.fields import Fields

MOST_ATTRIBUTES: Final = 256
MOST_TOKENS: Final = 2**32 - 1
MOST_NAME_CHARACTERS: Final = 256
MOST_DIMENSIONS: Final = 8192
LARGEST_COMPONENT: Final = 1e6
"""Of an embedding: squares of such numbers are still far from what single floats can hold."""

_TIMES: Final = ("time_to_first_token", "queue_time", "compute_time")
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")
_SHORT: Final = (
    *("environment", "service", "team", "user", "operation", "provider", "request_model", "response_model"),
    *("model_version", "prompt_name", "prompt_version", "error_type", "trace_id", "span_id", "parent_span_id"),
    *("conversation_id", "response_id"),
)
_SHA256: Final = re.compile("[0-9a-fA-F]{64}")
_UUID_TEXT: Final = 36
_DASHES: Final = (8, 13, 18, 23)
_HEX: Final = np.isin(np.arange(256), list(b"0123456789abcdefABCDEF"))


def suspects(fields: Fields, now: float, past_days: float, future_seconds: float) -> NDArray[np.bool_]:
    """Return for each event whether it may be invalid."""
    try:
        numbers = _numbers_suspect(fields, now, past_days, future_seconds)
    except (OverflowError, pa.ArrowInvalid):
        return np.ones(fields.size, np.bool_)
    found = numbers | ids_suspect(fields["event_id"])
    for name in _SHORT:
        found |= _suspect_texts(fields.texts(name), _too_long)
    nameless = [_suspect_texts(fields.texts(name), _empty) for name in ("request_model", "response_model")]
    found |= nameless[0] & nameless[1]
    found |= np.fromiter(map(len, fields["attributes"]), np.int64, fields.size) > MOST_ATTRIBUTES
    for name in ("embedding", "truncated"):
        if fields.has_any(name):
            found |= np.fromiter((value is not None for value in fields[name]), np.bool_, fields.size)
    return found


def _suspect_texts(column: pa.Array, suspect: Callable[[pa.Array], NDArray[np.bool_]]) -> NDArray[np.bool_] | np.bool_:
    """Apply a test to a column of texts; to each different one once where the column is a dictionary."""
    if not isinstance(column, pa.DictionaryArray):
        return suspect(column)
    found = suspect(column.dictionary)
    return found[column.indices.to_numpy()] if found.any() else np.False_


def _too_long(texts: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.utf8_length(texts).to_numpy() > MOST_NAME_CHARACTERS)


def _empty(texts: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.utf8_length(texts).to_numpy() == 0)


def _numbers_suspect(fields: Fields, now: float, past_days: float, future_seconds: float) -> NDArray[np.bool_]:
    started, duration = fields.floats("started_at"), fields.floats("duration")
    # Written so that what is not a number fails too.
    with np.errstate(invalid="ignore", over="ignore"):
        ends = started + duration
    good = (started >= now - past_days * 86_400) & (duration >= 0) & (ends <= now + future_seconds)
    longest = past_days * 86_400 + future_seconds
    for name in _TIMES:
        seconds = fields.floats(name)
        good &= np.isnan(seconds) | ((seconds >= 0) & (seconds <= longest))
    for name in _TOKENS:
        tokens = fields.integers(name)
        if tokens.null_count < len(tokens):
            counts = np.asarray(tokens.fill_null(0))
            good &= (counts >= 0) & (counts <= MOST_TOKENS)
    return ~good


def ids_suspect(ids: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return for each id whether it is anything but a UUID in its usual form."""
    joined = "".join(ids).encode("utf-8", "replace")
    if len(joined) != _UUID_TEXT * len(ids) or set(map(len, ids)) - {_UUID_TEXT}:
        return np.ones(len(ids), np.bool_)
    letters = np.frombuffer(joined, np.uint8).reshape(-1, _UUID_TEXT)
    good = _HEX[letters]
    good[:, _DASHES] = letters[:, _DASHES] == ord("-")
    return np.asarray(~good.all(axis=1))


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
    for name in _TIMES:
        seconds = getattr(event, name)
        if seconds is not None and not 0 <= seconds <= past_days * 86_400 + future_seconds:
            return f"$.{name}: negative, too long or not a number"
    for name in _TOKENS:
        tokens = getattr(event, name)
        if tokens is not None and not 0 <= tokens <= MOST_TOKENS:
            return f"$.{name}: not between 0 and {MOST_TOKENS}"
    if event.truncated is not None:
        for name in ("input_characters", "output_characters"):
            if not 0 <= getattr(event.truncated, name) <= MOST_TOKENS:
                return f"$.truncated.{name}: not between 0 and {MOST_TOKENS}"
        for name in ("input_sha256", "output_sha256"):
            if not _SHA256.fullmatch(getattr(event.truncated, name) or "0" * 64):
                return f"$.truncated.{name}: not a SHA-256 in hexadecimal"
    for name in _SHORT:
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
