"""Feedback to rows of table `feedback`: checked, masked, with hashed authors. Pure."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from detectors.pii.mask import mask
from detectors.protocols import PiiScanner
from inferwatch.events import FeedbackEvent
from inferwatch.wire import decode_feedback
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.mask import keyed_hash
from processors.lines import read_lines
from processors.records import Position

MOST_CHARACTERS: Final = 65_536
MOST_NAME_CHARACTERS: Final = 256

Given = tuple[Position, FeedbackEvent]


def read(records: Iterable[SourceRecord], now: float, past_days: float, future_seconds: float) -> tuple[
    list[Given], list[DeadLetter]
]:  # fmt: skip
    """Return what was given, with where it stood, and what cannot be processed."""
    return read_lines(records, decode_feedback, lambda event: invalid_because(event, now, past_days, future_seconds))


def invalid_because(event: FeedbackEvent, now: float, past_days: float, future_seconds: float) -> str | None:
    """Return why feedback cannot be stored, as a path and a reason that does not quote it, or None."""
    if not event.feedback_id or len(event.feedback_id) > MOST_NAME_CHARACTERS:
        return f"$.feedback_id: empty, or more than {MOST_NAME_CHARACTERS} characters"
    if not math.isfinite(event.at) or not now - past_days * 86_400 <= event.at <= now + future_seconds:
        return f"$.at: more than {past_days:g} days ago, or more than {future_seconds:g} seconds from now"
    if event.event_id is None and not event.response_id:
        return "$.event_id: neither it nor response_id is set"
    if event.event_id is not None and not _is_uuid(event.event_id):
        return "$.event_id: not a UUID of 36 characters"
    if event.score is not None and not math.isfinite(event.score):
        return "$.score: not a number"
    for name in ("response_id", "label"):
        if len(getattr(event, name) or "") > MOST_NAME_CHARACTERS:
            return f"$.{name}: more than {MOST_NAME_CHARACTERS} characters"
    return None


def rows_of(given: Sequence[Given], scanner: PiiScanner, secret: bytes) -> dict[str, list[Any]]:
    """Return columns of table `feedback`, but for those that the sink adds. Comments are masked, authors hashed."""

    def masked(text: str | None) -> str:
        return mask(text, scanner.scan(text)) if text else ""

    return {
        "feedback_id": [masked(event.feedback_id) for _, event in given],
        "source_offset": [position.offset for position, _ in given],
        "source_index": [position.index for position, _ in given],
        "at": [round(event.at * 1e6) for _, event in given],
        "event_id": [event.event_id for _, event in given],
        "response_id": [masked(event.response_id) for _, event in given],
        "score": [event.score for _, event in given],
        "label": [masked(event.label) for _, event in given],
        "comment": [masked(event.comment)[:MOST_CHARACTERS] for _, event in given],
        "who": [keyed_hash(event.who, secret) for _, event in given],
    }


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
