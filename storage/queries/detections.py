"""What the drift detectors found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from storage.queries.reader import Reader
from storage.queries.records import columns, record
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import latest, of_model, select

_SIGNAL: Final = ("environment", "model", "signal")


@dataclass(frozen=True, slots=True)
class Detection:
    """One change found in one signal of one model; `event_ids` are examples to look at."""

    detection_id: UUID
    at: datetime
    environment: str
    model: str
    signal: str
    detector: str
    statistic: float
    threshold: float
    p_value: float | None
    window_events: int
    baseline: float | None
    observed: float | None
    event_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class DriftSignal:
    """How often a signal of a model changed in a range, and the last time."""

    environment: str
    model: str
    signal: str
    detections: int
    last: Detection


def detections(reader: Reader, range: TimeRange, filters: Filters = ANY, *, limit: int = 1_000) -> list[Detection]:
    """Return detections, newest first. Of the filters, environment and model apply."""
    where = of_model(range, filters)
    where.parameters["limit"] = limit
    rest = "ORDER BY at DESC, detection_id LIMIT {limit:UInt32}"
    rows = reader.rows(latest(columns(Detection), "detections", where, "detection_id", rest), where.parameters)
    return [record(Detection, row) for row in rows]


def drift_signals(reader: Reader, range: TimeRange, filters: Filters = ANY) -> list[DriftSignal]:
    """Return each signal that changed in the range, the most recent first."""
    where = of_model(range, filters)
    of_signal = ", ".join(f"t.{name}" for name in _SIGNAL)
    counted = {**{name: f"t.{name}" for name in _SIGNAL}, "detections": "uniqExact(t.detection_id)"}
    counts = reader.rows(select(counted, "detections", where, f"GROUP BY {of_signal}"), where.parameters)
    newest = f"ORDER BY t.at DESC, t.detection_id, t.written_at DESC LIMIT 1 BY {of_signal}"
    rows = reader.rows(select(columns(Detection), "detections", where, newest), where.parameters)
    of_each = {tuple(row[name] for name in _SIGNAL): int(row["detections"]) for row in counts}
    found = [record(Detection, row) for row in rows]
    # One that came between the two questions is counted as one.
    return [DriftSignal(*key, of_each.get(key, 1), last) for last in found for key in [_signal(last)]]


def _signal(detection: Detection) -> tuple[str, str, str]:
    return detection.environment, detection.model, detection.signal
