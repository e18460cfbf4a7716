"""Step 2: events that decode but cannot be true.

`suspects` looks at all events of a batch at once and may suspect too many, never too few; `invalid_because` looks at
one event and decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inferwatch.events import InferenceEvent
from inferwatch.validity import (
    MOST_ATTRIBUTES,
    MOST_NAME_CHARACTERS,
    MOST_TOKENS,
    NAMES,
    TIMES,
    TOKENS,
    Bounds,
    in_words,
    inference_invalid,
)
from processors.enrich.fields import Fields

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
    for name in NAMES:
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
    for name in TIMES:
        seconds = fields.floats(name)
        good &= np.isnan(seconds) | ((seconds >= 0) & (seconds <= longest))
    for name in TOKENS:
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
    return in_words(inference_invalid(event, Bounds(now, past_days, future_seconds)))
