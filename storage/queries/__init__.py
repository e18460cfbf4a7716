"""Typed questions to the store, shared by dashboard, command line and reports.

Every function takes a `Reader` first, then a `TimeRange` and `Filters` where they apply. Values are bound by the
server, never written into the statement. All of them raise `storage.errors.StoreUnavailable` when it is worth asking
again and `StoreRefused` when it is not.
"""

from storage.queries.alerts import Alert, alerts, open_alerts, transitions
from storage.queries.catalog import Choices, Freshness, choices, freshness
from storage.queries.detections import Detection, DriftSignal, detections, drift_signals
from storage.queries.inferences import Cursor, Inference, InferenceRow, Page, inference, inferences
from storage.queries.pii import PiiCount, pii_by_type
from storage.queries.reader import Reader, open_reader
from storage.queries.retraining import RetrainingRun, retraining_runs
from storage.queries.scope import Filters, TimeRange
from storage.queries.traffic import Dimension, Group, Latency, Point, Traffic, breakdown, series, totals

__all__ = [
    "Alert",
    "Choices",
    "Cursor",
    "Detection",
    "Dimension",
    "DriftSignal",
    "Filters",
    "Freshness",
    "Group",
    "Inference",
    "InferenceRow",
    "Latency",
    "Page",
    "PiiCount",
    "Point",
    "Reader",
    "RetrainingRun",
    "TimeRange",
    "Traffic",
    "alerts",
    "breakdown",
    "choices",
    "detections",
    "drift_signals",
    "freshness",
    "inference",
    "inferences",
    "open_alerts",
    "open_reader",
    "pii_by_type",
    "retraining_runs",
    "series",
    "totals",
    "transitions",
]
