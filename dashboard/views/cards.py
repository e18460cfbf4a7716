"""The overview's figures: each with its unit, and how it differs from before."""

from __future__ import annotations

import streamlit as st

from dashboard import formatting as fmt
from dashboard.scope import Scope
from dashboard.views.snapshot import LATENCIES, MEANINGS, Snapshot


def draw(snapshot: Snapshot, scope: Scope) -> None:
    """Draw the figures of the range, two rows of four."""
    now, before = snapshot.traffic, snapshot.before
    elapsed = (snapshot.now - snapshot.range.start).total_seconds()
    places = iter((*st.columns(4), *st.columns(4)))

    def card(label: str, value: str, delta: str | None, meaning: str, *, more_is_worse: bool = False) -> None:
        moved = delta is not None and delta.strip("+0. %points") != ""
        next(places).metric(
            label,
            value,
            delta,
            delta_color="inverse" if more_is_worse and moved else "off",
            delta_description=None if delta is None else f"vs {scope.window.label} before",
            border=True,
            help=meaning,
        )

    card(
        f"Requests · {fmt.rate(now.requests, elapsed)}",
        fmt.count(now.requests),
        fmt.change(now.requests, before.requests),
        "Inferences that started in this time range, whatever became of them.",
    )
    card(
        f"Errors · {fmt.plural(now.errors, 'request')}",
        fmt.share(now.error_share),
        _points(now.error_share, before.error_share),
        f"Requests with status error. Another {fmt.count(now.cancelled)} were cancelled by their callers.",
        more_is_worse=True,
    )
    for name, figure in LATENCIES.items():
        latency = figure(now)
        card(
            f"{name} p50 · p95 {fmt.seconds(latency.p95)}",
            fmt.seconds(latency.p50),
            fmt.change(latency.p50, figure(before).p50),
            f"{MEANINGS[name]} p99 {fmt.seconds(latency.p99)}.",
            more_is_worse=True,
        )
    card(
        f"Tokens · {fmt.count(now.input_tokens)} in · {fmt.count(now.output_tokens)} out",
        fmt.count(now.input_tokens + now.output_tokens),
        fmt.change(now.input_tokens + now.output_tokens, before.input_tokens + before.output_tokens),
        "Input includes cached tokens, output includes reasoning tokens.",
    )
    card(
        "Cost" + (f" · unknown for {fmt.share(now.share_without_cost)}" if now.requests_without_cost else ""),
        fmt.money(now.cost),
        fmt.change(_float(now.cost), _float(before.cost)),
        f"US dollars of what has a price; {fmt.count(now.requests_without_cost)} requests without are not in it.",
    )
    card(
        f"PII · {fmt.plural(now.requests_with_pii, 'request')}",
        fmt.share(now.share_with_pii),
        _points(now.share_with_pii, before.share_with_pii),
        "Requests in which personal data was found. It is masked before anything is stored.",
        more_is_worse=True,
    )


def _points(now: float | None, before: float | None) -> str | None:
    """A change of a share, in percentage points: a per cent of a per cent misleads."""
    if now is None or before is None:
        return None
    return f"{(now - before) * 100:+.1f} points"


def _float(value: object) -> float | None:
    return None if value is None else float(str(value))
