"""What decodes and yet cannot be true, as a worker with its default settings sees it.

Refused here, its sender hears of it; later it would be a dead letter.
"""

from __future__ import annotations

from typing import Final

from inferwatch import validity
from inferwatch.events import SCHEMA_VERSION, FeedbackEvent, InferenceEvent, TelemetryEvent
from inferwatch.validity import Bounds, Reason
from inferwatch.validity_telemetry import telemetry_invalid as _telemetry_invalid

PAST_DAYS: Final = 30.0
FUTURE_SECONDS: Final = 300.0


def event_invalid(event: InferenceEvent, now: float) -> Reason | None:
    """Return why an inference cannot be true at `now`, None where it can."""
    return _version(event.schema_version) or validity.inference_invalid(event, _bounds(now))


def feedback_invalid(event: FeedbackEvent, now: float) -> Reason | None:
    """Return why feedback cannot be stored at `now`, None where it can."""
    return _version(event.schema_version) or validity.feedback_invalid(event, _bounds(now))


def telemetry_invalid(event: TelemetryEvent, now: float) -> Reason | None:
    """Return why a report or a sample cannot be true at `now`, None where it can."""
    return _version(event.schema_version) or _telemetry_invalid(event, _bounds(now))


def moment_invalid(name: str, at: float, now: float) -> Reason | None:
    """Return why a moment is too long ago or ahead, None where it is not."""
    return validity.moment_invalid(name, at, _bounds(now))


def _bounds(now: float) -> Bounds:
    return Bounds(now, PAST_DAYS, FUTURE_SECONDS)


def _version(version: int) -> Reason | None:
    if version > SCHEMA_VERSION:
        return "$.schema_version", f"newer than {SCHEMA_VERSION}, the newest known here"
    return None
