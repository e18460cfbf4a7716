"""The overview's charts, one function a panel."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import charts, palette
from dashboard import formatting as fmt
from dashboard.scope import Scope
from dashboard.views.alert_list import plain
from dashboard.views.snapshot import LATENCIES, Snapshot
from storage.queries import Traffic


def requests(snapshot: Snapshot, scope: Scope) -> None:
    """Draw requests by status."""
    st.markdown("**Requests**")
    if snapshot.traffic.requests == 0:
        st.caption("No traffic.")
        return
    parts: dict[str, Callable[[Traffic], float]] = {
        "ok": lambda traffic: traffic.ok,
        "cancelled": lambda traffic: traffic.cancelled,
        "error": lambda traffic: traffic.errors,
    }
    chart = charts.stacked(snapshot.points, parts, palette.STATUS, "requests", scope.window.step)
    st.altair_chart(chart, key="requests", alt="Requests over time by status")


def latency(snapshot: Snapshot, scope: Scope) -> None:
    """Draw quantiles of the latency that is chosen."""
    title, choice = st.columns([1, 3], vertical_alignment="center")
    title.markdown("**Latency**")
    name = choice.segmented_control(
        "Latency of",
        list(LATENCIES),
        default="First token",
        key="latency",
        label_visibility="collapsed",
        required=True,
    )
    figure = LATENCIES[name or "First token"]
    if figure(snapshot.traffic).p50 is None:
        why = "only streams have a first token" if snapshot.traffic.requests else "no traffic"
        st.caption(f"Not measured in the last {fmt.words(scope.window.length)}: {why}.")
        return
    st.altair_chart(charts.quantiles(snapshot.points, figure), key="quantiles", alt=f"{name} over time, p50 and p95")


def tokens(snapshot: Snapshot, scope: Scope) -> None:
    """Draw tokens by direction."""
    st.markdown("**Tokens**")
    if snapshot.traffic.input_tokens + snapshot.traffic.output_tokens == 0:
        st.caption(f"None counted in the last {fmt.words(scope.window.length)}.")
        return
    parts: dict[str, Callable[[Traffic], float]] = {
        "input": lambda traffic: traffic.input_tokens,
        "output": lambda traffic: traffic.output_tokens,
    }
    chart = charts.stacked(snapshot.points, parts, palette.TOKENS, "tokens", scope.window.step)
    st.altair_chart(chart, key="tokens", alt="Tokens over time, input and output")


def cost(snapshot: Snapshot, scope: Scope) -> None:
    """Draw what is known of the cost; what is not is said beside it."""
    unknown = snapshot.traffic.requests_without_cost
    st.markdown("**Cost**" + (f" · without {fmt.plural(unknown, 'request')} of unknown cost" if unknown else ""))
    if not snapshot.traffic.cost:
        st.caption("No traffic." if not unknown else "Unknown: no model in this time range has a price.")
        return
    chart = charts.stacked(
        snapshot.points,
        {"known": lambda traffic: float(traffic.cost or 0)},
        palette.COST,
        "US dollars",
        scope.window.step,
        number="$,.3~r",
    )
    st.altair_chart(chart, key="cost", alt="Known cost over time in US dollars")


def pii(snapshot: Snapshot, scope: Scope) -> None:
    """Draw hits by type and place."""
    st.markdown("**Personal data found, by type**")
    if not snapshot.pii:
        st.caption(f"None found in the last {fmt.words(scope.window.length)}.")
        return
    st.altair_chart(charts.pii(snapshot.pii), key="pii", alt="Hits by type of personal data and place")


def drift(snapshot: Snapshot, scope: Scope) -> None:
    """Draw each signal that changed."""
    st.markdown("**Drift**")
    if not snapshot.drift:
        st.markdown(f":green-badge[:material/check: none] No drift found in the last {fmt.words(scope.window.length)}.")
        return
    for signal in snapshot.drift[:6]:
        times = "once" if signal.detections == 1 else f"{signal.detections} times"
        environment = plain(fmt.named(signal.environment, "environment"))
        st.markdown(
            f":violet-badge[:material/trending_up: {plain(signal.signal)}] **{plain(signal.model)}** · "
            f"{environment} · {times}, last {fmt.ago(signal.last.at, snapshot.now)} "
            f"by {signal.last.detector} ({fmt.number(signal.last.statistic)}, "
            f"threshold {fmt.number(signal.last.threshold)})"
        )
    if len(snapshot.drift) > 6:
        st.caption(f"And {len(snapshot.drift) - 6} more signals, see Drift and alerts.")
