"""Servers: do requests wait or compute, what fails, how do GPUs fare, what does it cost, and what was lost?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import formatting as fmt
from dashboard import server_charts
from dashboard.scope import Scope
from dashboard.views import energy_panel, server_tables
from dashboard.views.alert_list import plain
from dashboard.views.slowness import verdict
from storage.queries import (
    Device,
    EnergyBill,
    EnergyPrices,
    Filters,
    Load,
    LoadPoint,
    Loss,
    Reader,
    ServedModel,
    TimeRange,
    devices,
    energy_bill,
    load_series,
    losses,
    served_models,
    total_load,
    totals,
)

LEAST_STEP: Final = timedelta(seconds=15)
"""Servers are asked every ten seconds: shorter steps would be empty every other time."""

_TIMES: Final = (
    "Of an average request that succeeded. A decoupled model that answers from threads of its own is computed, as "
    "Triton sees it, only until it has taken the request over."
)

Name = tuple[str, str]
"""Environment and model."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store says at `now`. `before`, `seen` and `points` are of the model that is chosen, where there is one;
    `seen` is the median duration of its mirrored inferences, in seconds."""

    now: datetime
    range: TimeRange
    models: tuple[ServedModel, ...]
    chosen: ServedModel | None
    before: Load
    seen: float | None
    points: tuple[LoadPoint, ...]
    devices: tuple[Device, ...]
    bill: EnergyBill
    losses: tuple[Loss, ...]


def step_of(scope: Scope) -> timedelta:
    """Return the step of charts."""
    return max(scope.window.step, LEAST_STEP)


def load(reader: Reader, scope: Scope, now: datetime, name: Name | None = None) -> Snapshot:
    """Ask for everything the page shows; charts are of the model of that name, or the busiest one.

    Raises:
        StoreUnavailable, StoreRefused: from the store.
    """
    step = step_of(scope)
    range = TimeRange.last(scope.window.length, now, step)
    before = TimeRange(range.start - (range.end - range.start), range.start)
    models = served_models(reader, range, scope.filters)
    chosen = next((one for one in models if name_of(one) == name), models[0] if models else None)
    of_chosen = Filters(environment=chosen.environment, model=chosen.model) if chosen else None
    return Snapshot(
        now=now,
        range=range,
        models=tuple(models),
        chosen=chosen,
        before=total_load(reader, before, of_chosen) if of_chosen else Load(),
        seen=totals(reader, range, of_chosen).duration.p50 if of_chosen else None,
        points=tuple(load_series(reader, range, step, of_chosen)) if of_chosen else (),
        devices=tuple(devices(reader, range, scope.filters)),
        bill=energy_bill(reader, range, of_chosen or scope.filters),
        losses=tuple(losses(reader, range, scope.filters)),
    )


def render(snapshot: Snapshot, scope: Scope, prices: EnergyPrices) -> None:
    """Draw the page."""
    ago = fmt.words(scope.window.length)
    updated = fmt.clock(snapshot.now, snapshot.now, scope.zone)
    st.caption(f"Updated {updated} · Triton's own figures, of all its requests, mirrored or not")
    if snapshot.chosen is None:
        st.info(silence(scope), icon=":material/dns:")
    else:
        _rows(server_tables.models(snapshot.models, snapshot.now))
        _model(snapshot, snapshot.chosen, step_of(scope), ago)
        with st.container(border=True):
            energy_panel.draw(snapshot.bill, snapshot.chosen.model, prices)
    with st.container(border=True):
        st.markdown("**GPUs and processors**")
        _rows(server_tables.devices(snapshot.devices, snapshot.now), f"No server told of a device in the last {ago}.")
    with st.container(border=True):
        st.markdown("**Telemetry lost**", help="Events that mirrors say they dropped, or that Kafka did not take.")
        lost_nothing = f"No mirror told of a loss in the last {ago}."
        _rows(server_tables.losses(snapshot.losses, snapshot.now, scope.zone), lost_nothing)


def name_of(model: ServedModel) -> Name:
    """Return environment and model."""
    return model.environment, model.model


def silence(scope: Scope) -> str:
    """Return why there is nothing to see."""
    of = " · ".join(value for value in (scope.filters.environment, scope.filters.model) if value)
    about = f" of {of}" if of else ""
    return (
        f"No model server was heard{about} in the last {fmt.words(scope.window.length)}. "
        "`inferwatch scraper` asks those that INFERWATCH_TRITON_METRICS names."
    )


def _model(snapshot: Snapshot, chosen: ServedModel, step: timedelta, ago: str) -> None:
    found = verdict(chosen.load, snapshot.before, ago, snapshot.seen)
    title, choice = st.columns([3, 1], vertical_alignment="bottom")
    choice.selectbox(
        "Charts of",
        [name_of(one) for one in snapshot.models],
        index=snapshot.models.index(chosen),
        format_func=lambda name: f"{name[1]} · {fmt.named(name[0], 'environment')}",
        key="served",
    )
    title.markdown(f"#### {plain(chosen.model)} :{found.colour}-badge[{found.headline}]\n{plain(found.because)}")
    with st.container(border=True):
        st.markdown("**Time of a request: queue and compute**", help=_TIMES)
        if chosen.load.queue is None:
            st.caption(found.because)
        else:
            chart = server_charts.request_time(snapshot.points, step)
            st.altair_chart(chart, key="request-time", alt="Time of an average request by part, over time")
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown("**Requests that wait**")
        if chosen.load.pending is None:
            st.caption("Triton does not tell.")
        else:
            st.altair_chart(server_charts.pending(snapshot.points), key="pending", alt="Pending requests over time")
    with right.container(border=True, height="stretch"):
        st.markdown(f"**Failures** · {fmt.plural(chosen.load.failed, 'request')}")
        if not chosen.load.failed:
            st.caption(f"None in the last {ago}.")
        else:
            chart = server_charts.failures(snapshot.points, step)
            st.altair_chart(chart, key="failures", alt="Failed requests by reason, over time")


def _rows(table: pd.DataFrame, nothing: str = "") -> None:
    if table.empty:
        st.caption(nothing)
        return
    st.dataframe(table, hide_index=True, width="stretch", height="content")
