"""Feedback to rows of table `feedback`: checked, masked, with hashed authors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from detectors.pii.mask import mask
from detectors.protocols import PiiScanner
from inferwatch.events import FeedbackEvent
from inferwatch.validity import Bounds, feedback_invalid
from inferwatch.wire import decode_feedback
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.enrich.mask import keyed_hash
from processors.lines import read_lines
from processors.records import Position

MOST_CHARACTERS: Final = 65_536

Given = tuple[Position, FeedbackEvent]


def read(records: Iterable[SourceRecord], now: float, past_days: float, future_seconds: float) -> tuple[
    list[Given], list[DeadLetter]
]:  # fmt: skip
    """Return what was given, with where it stood, and what cannot be processed."""
    bounds = Bounds(now, past_days, future_seconds)
    return read_lines(records, decode_feedback, lambda event: feedback_invalid(event, bounds))


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
