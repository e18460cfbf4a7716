"""Drift and alerts: what changed, who was told, what was retrained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import PurePath

import pandas as pd
import streamlit as st

from dashboard import charts
from dashboard import formatting as fmt
from dashboard.scope import Scope
from dashboard.views import alert_list
from storage.queries import (
    Alert,
    Detection,
    Reader,
    RetrainingRun,
    TimeRange,
    detections,
    open_alerts,
    retraining_runs,
    transitions,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store says at `now`. Open alerts and runs are of all time, the rest of the range."""

    now: datetime
    range: TimeRange
    open: tuple[Alert, ...]
    transitions: tuple[Alert, ...]
    detections: tuple[Detection, ...]
    runs: tuple[RetrainingRun, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """An alert in one state, from `since` to `until`."""

    row: str
    state: str
    since: datetime
    until: datetime
    summary: str


def load(reader: Reader, scope: Scope, now: datetime) -> Snapshot:
    """Ask for everything the page shows.

    Raises:
        StoreUnavailable, StoreRefused: from the store.
    """
    range = scope.window.range(now)
    return Snapshot(
        now=now,
        range=range,
        open=tuple(open_alerts(reader, scope.filters)),
        transitions=tuple(transitions(reader, range, scope.filters)),
        detections=tuple(detections(reader, range, scope.filters)),
        runs=tuple(retraining_runs(reader, None, scope.filters, limit=50)),
    )


def render(snapshot: Snapshot, scope: Scope) -> None:
    """Draw the page."""
    ago = fmt.words(scope.window.length)
    st.caption(f"Updated {fmt.clock(snapshot.now, snapshot.now, scope.zone)} · the team filter does not apply here")
    st.markdown("#### Open alerts")
    alert_list.draw(snapshot.open, snapshot.now, scope.zone)
    st.markdown("#### Timeline")
    _timeline(snapshot, ago)
    st.markdown("#### Detections")
    _rows(detection_table(snapshot, scope.zone), f"No drift found in the last {ago}.")
    st.markdown("#### Alert history")
    _rows(history_table(snapshot, scope.zone), f"No alert changed its state in the last {ago}.")
    st.markdown("#### Retraining")
    _rows(run_table(snapshot, scope.zone), "No retraining run yet. An alert whose rule says `retrain` starts one.")


def spans(changes: Iterable[Alert], still_open: Iterable[Alert], range: TimeRange) -> list[Span]:
    """Return how long alerts were in which state, cut to the range.

    A state lasts until the alert's next transition. Alerts that opened before the range and never changed in it are
    only among `still_open`.
    """
    by_alert: dict[object, dict[object, Alert]] = {}
    for change in (*still_open, *changes):
        by_alert.setdefault(change.alert_id, {})[change.transition_id] = change
    found = []
    for alert in by_alert.values():
        ordered = sorted(alert.values(), key=lambda change: change.at)
        ends = [*(change.at for change in ordered[1:]), range.end]
        for change, end in zip(ordered, ends, strict=True):
            since, until = max(change.at, range.start), min(end, range.end)
            if change.open and since < until:
                found.append(Span(_row(change), change.state, since, until, change.summary or change.rule))
    return found


def detection_table(snapshot: Snapshot, zone: tzinfo) -> pd.DataFrame:
    """Return detections as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "when": fmt.clock(one.at, snapshot.now, zone),
                "model": one.model,
                "signal": one.signal,
                "detector": one.detector,
                "statistic": fmt.number(one.statistic),
                "threshold": fmt.number(one.threshold),
                "p-value": fmt.number(one.p_value),
                "before": fmt.number(one.baseline),
                "after": fmt.number(one.observed),
                "window": fmt.plural(one.window_events, "inference"),
                "environment": one.environment,
                "example": f"/explorer?event={one.event_ids[0]}" if one.event_ids else "",
            }
            for one in snapshot.detections
        ]
    )


def history_table(snapshot: Snapshot, zone: tzinfo) -> pd.DataFrame:
    """Return transitions as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "when": fmt.clock(one.at, snapshot.now, zone),
                "state": one.state,
                "severity": one.severity,
                "rule": one.rule,
                "model": one.model,
                "value": fmt.number(one.value),
                "threshold": fmt.number(one.threshold),
                "after": fmt.seconds((one.at - one.started_at).total_seconds()),
                "inferences": fmt.count(one.events),
                "environment": one.environment,
                "summary": one.summary,
            }
            for one in snapshot.transitions
        ]
    )


def run_table(snapshot: Snapshot, zone: tzinfo) -> pd.DataFrame:
    """Return runs as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "when": fmt.clock(one.at, snapshot.now, zone),
                "status": one.status,
                "model": one.model,
                "environment": one.environment,
                "dataset": PurePath(one.dataset).name or fmt.NOTHING,
                "holds": fmt.plural(one.rows, "row"),
                "reason": one.reason,
                "folder": str(PurePath(one.dataset).parent) if one.dataset else fmt.NOTHING,
            }
            for one in snapshot.runs
        ]
    )


def _timeline(snapshot: Snapshot, ago: str) -> None:
    bars = spans(snapshot.transitions, snapshot.open, snapshot.range)
    if not bars and not snapshot.detections:
        st.caption(f"Nothing in the last {ago}: no drift, no alert.")
        return
    frame = pd.DataFrame(
        [(bar.row, bar.state, bar.since, bar.until, bar.summary) for bar in bars],
        columns=["row", "state", "since", "until", "summary"],
    )
    marks = pd.DataFrame(
        [(_row(one), one.at, one.detector, one.statistic, one.threshold) for one in snapshot.detections],
        columns=["row", "at", "detector", "statistic", "threshold"],
    )
    chart = charts.timeline(frame, marks, snapshot.range.start, snapshot.range.end)
    st.altair_chart(chart, key="timeline", alt="Alerts as bars and detections as diamonds over time")
    st.caption("Bars are alerts, diamonds are detections of drift.")


def _row(one: Alert | Detection) -> str:
    return f"{one.model} · {one.signal}" + (f" · {one.environment}" if one.environment else "")


def _rows(table: pd.DataFrame, nothing: str) -> None:
    if table.empty:
        st.caption(nothing)
        return
    link = {"example": st.column_config.LinkColumn(display_text="open", help="One of the inferences in the window")}
    height = 38 + 35 * min(len(table), 8)
    st.dataframe(table, hide_index=True, width="stretch", height=height, column_config=link)
