"""Telemetry that decodes and yet cannot be true; see `validity`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from inferwatch.events import DropReport, ServerSample, TelemetryEvent
from inferwatch.validity import MOST_NAME_CHARACTERS, Bounds, Reason, id_invalid, moment_invalid, names_invalid

MOST_REASONS: Final = 64
MOST_COUNT: Final = 2**63 - 1
LARGEST_READING: Final = 1e18
"""Of seconds, joules, watts and bytes."""

_COUNTS: Final = ("requests", "inferences", "executions", "pending", "cache_hits", "cache_misses")
_READINGS: Final = (
    *("request_time", "queue_time", "compute_input_time", "compute_infer_time", "compute_output_time"),
    *("memory_used", "memory_total", "power", "power_limit", "energy"),
)


def telemetry_invalid(event: TelemetryEvent, bounds: Bounds) -> Reason | None:
    """Return why a report or a sample cannot be true, None where it can."""
    told = _report(event) if isinstance(event, DropReport) else _sample(event, bounds)
    return moment_invalid("at", event.at, bounds) or told


def _report(event: DropReport) -> Reason | None:
    # A mirror that lost nothing for months says so in its first report.
    if not 0 <= event.since <= event.at:
        return "$.since", "not between 1970 and $.at"
    for name in ("dropped", "failed"):
        if not 0 <= getattr(event, name) <= MOST_COUNT:
            return f"$.{name}", f"not between 0 and {MOST_COUNT}"
    return (
        _empty(event, ("source", "report_id", "instance"))
        or names_invalid(event, ("report_id", "source", "instance", "service", "environment", "team"))
        or _reasons("reasons", event.reasons)
    )


def _sample(event: ServerSample, bounds: Bounds) -> Reason | None:
    if not 0 < event.interval <= bounds.now - bounds.first:
        return "$.interval", "not above 0, too long or not a number"
    if bool(event.model) == bool(event.device):
        return "$.model", "neither it nor device is set, or both"
    for name in _COUNTS:
        if not 0 <= (getattr(event, name) or 0) <= MOST_COUNT:
            return f"$.{name}", f"not between 0 and {MOST_COUNT}"
    for name in _READINGS:
        if not 0 <= (getattr(event, name) or 0.0) <= LARGEST_READING:
            return f"$.{name}", "negative, too large or not a number"
    if not 0 <= (event.utilisation or 0.0) <= 1:
        return "$.utilisation", "not between 0 and 1"
    return (
        id_invalid("sample_id", event.sample_id)
        or _empty(event, ("instance",))
        or names_invalid(event, ("instance", "environment", "model", "model_version", "device"))
        or _reasons("failures", event.failures)
    )


def _empty(event: TelemetryEvent, required: tuple[str, ...]) -> Reason | None:
    return next(((f"$.{name}", "empty") for name in required if not getattr(event, name)), None)


def _reasons(name: str, counts: Mapping[str, int]) -> Reason | None:
    if len(counts) > MOST_REASONS:
        return f"$.{name}", f"more than {MOST_REASONS}"
    if any(len(reason) > MOST_NAME_CHARACTERS for reason in counts):
        return f"$.{name}", f"one of more than {MOST_NAME_CHARACTERS} characters"
    if not all(0 <= count <= MOST_COUNT for count in counts.values()):
        return f"$.{name}", f"a count not between 0 and {MOST_COUNT}"
    # Reasons that are one once they are masked are counted together.
    if sum(counts.values()) > MOST_COUNT:
        return f"$.{name}", f"more than {MOST_COUNT} together"
    return None
