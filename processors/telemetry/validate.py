"""Telemetry that decodes but cannot be true."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping
from typing import Final

from inferwatch.events import DropReport, ServerSample, TelemetryEvent

MOST_NAME_CHARACTERS: Final = 256
MOST_REASONS: Final = 64
MOST_COUNT: Final = 2**63 - 1
LARGEST_READING: Final = 1e18
"""Of seconds, joules, watts and bytes."""

_NAMES: Final[Mapping[type[DropReport] | type[ServerSample], tuple[str, ...]]] = {
    DropReport: ("report_id", "source", "instance", "service", "environment", "team"),
    ServerSample: ("instance", "environment", "model", "model_version", "device"),
}
_REQUIRED: Final = frozenset({"report_id", "source", "instance"})
_COUNTS: Final = ("requests", "inferences", "executions", "pending", "cache_hits", "cache_misses")
_READINGS: Final = (
    *("request_time", "queue_time", "compute_input_time", "compute_infer_time", "compute_output_time"),
    *("memory_used", "memory_total", "power", "power_limit", "energy"),
)


def invalid_because(event: TelemetryEvent, now: float, past_days: float, future_seconds: float) -> str | None:
    """Return why telemetry cannot be stored, as a path and a reason that does not quote it, or None."""
    return next(_mistakes(event, now, past_days, future_seconds), None)


def _mistakes(event: TelemetryEvent, now: float, past_days: float, future_seconds: float) -> Iterator[str]:
    if not math.isfinite(event.at) or not now - past_days * 86_400 <= event.at <= now + future_seconds:
        yield f"$.at: more than {past_days:g} days ago, or more than {future_seconds:g} seconds from now"
    for name in _NAMES[type(event)]:
        text = getattr(event, name)
        if len(text) > MOST_NAME_CHARACTERS or (name in _REQUIRED and not text):
            yield f"$.{name}: empty, or more than {MOST_NAME_CHARACTERS} characters"
    if isinstance(event, DropReport):
        yield from _in_report(event)
    else:
        yield from _in_sample(event, past_days)


def _in_report(event: DropReport) -> Iterator[str]:
    # A mirror that lost nothing for months says so in its first report.
    if not 0 <= event.since <= event.at:
        yield "$.since: not between 1970 and $.at"
    for name in ("dropped", "failed"):
        if not 0 <= getattr(event, name) <= MOST_COUNT:
            yield f"$.{name}: not between 0 and {MOST_COUNT}"
    yield from _in_reasons("reasons", event.reasons)


def _in_sample(event: ServerSample, past_days: float) -> Iterator[str]:
    if not _is_uuid(event.sample_id):
        yield "$.sample_id: not a UUID of 36 characters"
    if not 0 < event.interval <= past_days * 86_400:
        yield "$.interval: not above 0, too long or not a number"
    if bool(event.model) == bool(event.device):
        yield "$.model: neither it nor device is set, or both"
    for name in _COUNTS:
        if not 0 <= (getattr(event, name) or 0) <= MOST_COUNT:
            yield f"$.{name}: not between 0 and {MOST_COUNT}"
    for name in _READINGS:
        if not 0 <= (getattr(event, name) or 0.0) <= LARGEST_READING:
            yield f"$.{name}: negative, too large or not a number"
    if not 0 <= (event.utilisation or 0.0) <= 1:
        yield "$.utilisation: not between 0 and 1"
    yield from _in_reasons("failures", event.failures)


def _in_reasons(name: str, counts: Mapping[str, int]) -> Iterator[str]:
    if len(counts) > MOST_REASONS:
        yield f"$.{name}: more than {MOST_REASONS}"
    if any(len(reason) > MOST_NAME_CHARACTERS for reason in counts):
        yield f"$.{name}: one of more than {MOST_NAME_CHARACTERS} characters"
    if not all(0 <= count <= MOST_COUNT for count in counts.values()):
        yield f"$.{name}: a count not between 0 and {MOST_COUNT}"
    # Reasons that are one once they are masked are counted together.
    elif sum(counts.values()) > MOST_COUNT:
        yield f"$.{name}: more than {MOST_COUNT} together"


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
