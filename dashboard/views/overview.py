"""Overview: is traffic flowing, how fast, at what cost, and is anything wrong?"""

from __future__ import annotations

import streamlit as st

from dashboard import formatting as fmt
from dashboard.scope import Scope
from dashboard.views import alert_list, cards, groups, panels
from dashboard.views.snapshot import Snapshot, load

__all__ = ["Snapshot", "load", "pulse", "render", "silence"]


def render(snapshot: Snapshot, scope: Scope) -> None:
    """Draw the page."""
    st.caption(pulse(snapshot, scope))
    alert_list.draw(snapshot.alerts, snapshot.now, scope.zone, most=3)
    if snapshot.traffic.requests == 0:
        st.info(silence(snapshot, scope), icon=":material/signal_cellular_off:")
    cards.draw(snapshot, scope)
    rows = ((panels.requests, panels.latency), (panels.tokens, panels.cost), (panels.pii, panels.drift))
    for pair in rows:
        for place, part in zip(st.columns(2), pair, strict=True):
            with place.container(border=True, height="stretch"):
                part(snapshot, scope)
    with st.container(border=True):
        groups.draw(snapshot)


def pulse(snapshot: Snapshot, scope: Scope) -> str:
    """Return in one line how fresh the page is."""
    parts = [f"Updated {fmt.clock(snapshot.now, snapshot.now, scope.zone)}"]
    if snapshot.freshness.newest is None:
        parts.append("the store holds no inference yet")
    else:
        parts.append(f"last inference stored {fmt.ago(snapshot.freshness.newest, snapshot.now)}")
        parts.append(f"stored {fmt.seconds(snapshot.freshness.delay)} after it ended (median)")
    return " · ".join(parts)


def silence(snapshot: Snapshot, scope: Scope) -> str:
    """Return why there is nothing to see, as far as the store can tell."""
    filters = scope.filters
    chosen = [value for value in (filters.environment, filters.model, filters.team) if value]
    of = f" of {' · '.join(chosen)}" if chosen else ""
    text = f"No traffic{of} in the last {fmt.words(scope.window.length)}."
    if snapshot.freshness.newest is None:
        return f"{text} Nothing was ever stored here: point an application or the sidecar at Inferwatch."
    return f"{text} The last inference of all was stored {fmt.ago(snapshot.freshness.newest, snapshot.now)}."
