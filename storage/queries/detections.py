"""What the drift detectors found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage.queries.reader import Reader
from storage.queries.records import columns, record
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import latest, of_model


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
    found: dict[tuple[str, str, str], list[Detection]] = {}
    for detection in detections(reader, range, filters):
        found.setdefault((detection.environment, detection.model, detection.signal), []).append(detection)
    return [DriftSignal(*key, len(group), group[0]) for key, group in found.items()]
