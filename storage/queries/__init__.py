"""Typed questions to the store, shared by dashboard, command line and reports.

Every function takes a `Reader` first, then a `TimeRange` and `Filters` where they apply. Values are bound by the
server, never written into the statement. All of them raise `storage.errors.StoreUnavailable` when it is worth asking
again and `StoreRefused` when it is not.
"""

from storage.queries.alerts import Alert, alerts, open_alerts, transitions
from storage.queries.catalog import Choices, Freshness, choices, freshness
from storage.queries.detections import Detection, DriftSignal, detections, drift_signals
from storage.queries.devices import Device, devices
from storage.queries.energy import EnergyBill, EnergyPrices, ModelEnergy, energy_bill
from storage.queries.inferences import Cursor, Inference, InferenceRow, Page, inference, inferences
from storage.queries.losses import Loss, losses
from storage.queries.pii import PiiCount, pii_by_type
from storage.queries.reader import Reader, open_reader
from storage.queries.retraining import RetrainingRun, retraining_runs
from storage.queries.scope import Filters, TimeRange
from storage.queries.servers import (
    Load,
    LoadPoint,
    ServedModel,
    load_series,
    served_models,
    total_load,
)
from storage.queries.traffic import Dimension, Group, Latency, Point, Traffic, breakdown, series, totals

__all__ = [
    "Alert",
    "Choices",
    "Cursor",
    "Detection",
    "Device",
    "Dimension",
    "DriftSignal",
    "EnergyBill",
    "EnergyPrices",
    "Filters",
    "Freshness",
    "Group",
    "Inference",
    "InferenceRow",
    "Latency",
    "Load",
    "LoadPoint",
    "Loss",
    "ModelEnergy",
    "Page",
    "PiiCount",
    "Point",
    "Reader",
    "RetrainingRun",
    "ServedModel",
    "TimeRange",
    "Traffic",
    "alerts",
    "breakdown",
    "choices",
    "detections",
    "devices",
    "drift_signals",
    "energy_bill",
    "freshness",
    "inference",
    "inferences",
    "load_series",
    "losses",
    "open_alerts",
    "open_reader",
    "pii_by_type",
    "retraining_runs",
    "series",
    "served_models",
    "total_load",
    "totals",
    "transitions",
]
