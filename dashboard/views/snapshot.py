"""What the overview knows at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dashboard.scope import Scope
from storage.queries import (
    Alert,
    Dimension,
    DriftSignal,
    Freshness,
    Group,
    Latency,
    PiiCount,
    Point,
    Reader,
    TimeRange,
    Traffic,
    breakdown,
    drift_signals,
    freshness,
    open_alerts,
    pii_by_type,
    series,
    totals,
)

LATENCIES: Final[dict[str, Callable[[Traffic], Latency]]] = {
    "First token": lambda traffic: traffic.time_to_first_token,
    "Per token": lambda traffic: traffic.time_per_output_token,
    "Duration": lambda traffic: traffic.duration,
}
MEANINGS: Final = {
    "First token": "From the start to the first chunk with output, of streamed responses.",
    "Per token": "Each output token after the first, of streamed responses.",
    "Duration": "From the start to the end of the response.",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store says at `now`."""

    now: datetime
    range: TimeRange
    traffic: Traffic
    before: Traffic
    points: tuple[Point, ...]
    groups: tuple[Group, ...]
    pii: tuple[PiiCount, ...]
    alerts: tuple[Alert, ...]
    drift: tuple[DriftSignal, ...]
    freshness: Freshness


def load(reader: Reader, scope: Scope, now: datetime, dimension: Dimension = "model") -> Snapshot:
    """Ask for everything the page shows.

    Raises:
        StoreUnavailable, StoreRefused: from the store.
    """
    range = scope.window.range(now)
    return Snapshot(
        now=now,
        range=range,
        traffic=totals(reader, range, scope.filters),
        before=totals(reader, scope.window.before(now), scope.filters),
        points=tuple(series(reader, range, scope.window.step, scope.filters)),
        groups=tuple(breakdown(reader, range, dimension, scope.filters)),
        pii=tuple(pii_by_type(reader, range, scope.filters)),
        alerts=tuple(open_alerts(reader, scope.filters)),
        drift=tuple(drift_signals(reader, range, scope.filters)),
        freshness=freshness(reader),
    )
