"""Open alerts: what, where, since when, how bad."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import streamlit as st

from dashboard import formatting as fmt
from dashboard import palette
from storage.queries import Alert


def draw(alerts: Sequence[Alert], now: datetime, zone: tzinfo, most: int | None = None) -> None:
    """Draw each open alert, the gravest first, or say that there is none."""
    if not alerts:
        st.markdown(":green-badge[:material/check_circle: No open alerts]")
        return
    with st.container(border=True, gap="xsmall"):
        for alert in alerts[:most]:
            st.markdown(f"{headline(alert)}  \n:small[:gray[{facts(alert, now, zone)}]]")
        hidden = len(alerts) - len(alerts[:most])
        if hidden:
            st.caption(f"And {fmt.plural(hidden, 'more open alert')}, see Drift and alerts.")


def headline(alert: Alert) -> str:
    """Return state, severity and what is wrong, as Markdown."""
    return (
        f":{palette.badge(alert.state)}-badge[{alert.state}] :{palette.badge(alert.severity)}-badge[{alert.severity}] "
        f"**{plain(alert.summary or alert.rule)}**"
    )


def facts(alert: Alert, now: datetime, zone: tzinfo) -> str:
    """Return where, since when, and the figures."""
    return plain(
        f"{alert.model} · {fmt.named(alert.environment, 'environment')} · rule {alert.rule} · "
        f"since {fmt.clock(alert.started_at, now, zone)} ({fmt.seconds((now - alert.started_at).total_seconds())}) · "
        f"{alert.signal} {fmt.number(alert.value)}, threshold {fmt.number(alert.threshold)} · "
        f"{fmt.plural(alert.events, 'inference')}"
    )


def plain(text: str) -> str:
    """Return text from outside so that Markdown shows it as it is."""
    return "".join("\\" + character if character in r"\`*_{}[]<>()#+!|$~:" else character for character in text)
