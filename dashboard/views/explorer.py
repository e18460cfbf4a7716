"""Explorer: every inference, filtered, searched, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final
from uuid import UUID

import pandas as pd
import streamlit as st

from dashboard import formatting as fmt
from dashboard.scope import Scope
from dashboard.views import details
from storage.queries import (
    Cursor,
    Filters,
    Inference,
    Page,
    Reader,
    Traffic,
    inference,
    inferences,
    totals,
)

ROWS: Final = 50
STATUSES: Final = ("ok", "error", "cancelled")
SOURCES: Final = ("sdk", "sidecar-http", "sidecar-grpc", "otlp", "http", "cloudevents")
_ANY_PII: Final = "any type"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store says at `now`: figures of all that matches, one page of it, and the one that is open."""

    now: datetime
    traffic: Traffic
    page: Page
    chosen: Inference | None


def load(
    reader: Reader, scope: Scope, now: datetime, after: Cursor | None = None, chosen: UUID | None = None
) -> Snapshot:
    """Ask for a page of what `scope` matches and for the inference that is open.

    Raises:
        StoreUnavailable, StoreRefused: from the store.
    """
    range = scope.window.range(now)
    traffic = totals(reader, range, scope.filters)
    page = inferences(reader, range, scope.filters, limit=ROWS, after=after)
    return opened(reader, Snapshot(now=now, traffic=traffic, page=page, chosen=None), chosen)


def opened(reader: Reader, snapshot: Snapshot, chosen: UUID | None) -> Snapshot:
    """Return the same list with another inference open, or with none. Raises as `load` does."""
    return replace(snapshot, chosen=None if chosen is None else inference(reader, chosen))


def narrow(filters: Filters, pii_types: tuple[str, ...]) -> Filters:
    """Draw the page's own filters and return them on top of the sidebar's."""
    text, status, source, found, trace = st.columns([4, 2, 2, 2, 3])
    searched = text.text_input(
        "Search in messages and errors", key="q", bind="query-params", placeholder="a word, in any case", type="search"
    )
    status_ = status.selectbox("Status", STATUSES, index=None, placeholder="All", key="status", bind="query-params")
    source_ = source.selectbox("Source", SOURCES, index=None, placeholder="All", key="source", bind="query-params")
    pii = found.selectbox(
        "Personal data",
        (_ANY_PII, *pii_types),
        index=None,
        placeholder="With or without",
        key="pii",
        bind="query-params",
    )
    trace_id = trace.text_input("Trace id", key="trace", bind="query-params", placeholder="32 hex digits")
    return replace(
        filters,
        text=(searched or "").strip() or None,
        status=status_,
        source=source_,
        with_pii=pii == _ANY_PII,
        pii_type=pii if pii != _ANY_PII else None,
        trace_id=(trace_id or "").strip() or None,
    )


def render(snapshot: Snapshot, scope: Scope, pick: Callable[[UUID | None], None], place: int = 1) -> None:
    """Draw the list. `pick` is told which inference was picked in it, None for none; `place` is the page's number."""
    st.caption(summary(snapshot, scope))
    rows = snapshot.page.rows
    if not rows:
        st.info(nothing(scope), icon=":material/search_off:")
        return
    key = f"list-{snapshot.now.timestamp()}-{place}"

    def picked() -> None:
        selected = st.session_state[key]["selection"]["rows"]
        pick(rows[selected[0]].event_id if selected else None)

    st.dataframe(
        table(snapshot, scope.zone),
        hide_index=True,
        width="stretch",
        height=420,
        on_select=picked,
        selection_mode="single-row",
        key=key,
        column_config={"asked": st.column_config.TextColumn(width=240), "PII": st.column_config.TextColumn(width=130)},
    )


def render_chosen(snapshot: Snapshot, scope: Scope, asked: UUID | None) -> None:
    """Draw the inference that is open, or say that there is none of that id."""
    if snapshot.chosen is not None:
        details.render(snapshot.chosen, snapshot.now, scope.zone)
    elif asked is not None:
        st.warning(f"There is no inference {asked} in the store: it may have been erased, or is too old.")
    elif snapshot.page.rows:
        st.caption("Select a row to see everything about it.")


def summary(snapshot: Snapshot, scope: Scope) -> str:
    """Return in one line what matches."""
    traffic = snapshot.traffic
    return " · ".join(
        (
            f"{fmt.plural(traffic.requests, 'inference')} in the last {fmt.words(scope.window.length)}",
            fmt.plural(traffic.errors, "error"),
            f"{fmt.count(traffic.input_tokens)} tokens in, {fmt.count(traffic.output_tokens)} out",
            f"cost {fmt.money(traffic.cost)}" + _unknown(traffic),
            f"newest first, as of {fmt.clock(snapshot.now, snapshot.now, scope.zone)}",
        )
    )


def nothing(scope: Scope) -> str:
    """Return why the list is empty."""
    length = fmt.words(scope.window.length)
    if scope.filters == Filters():
        return f"No traffic in the last {length}."
    return f"No inference in the last {length} matches these filters. Take a longer time range or fewer filters."


def table(snapshot: Snapshot, zone: tzinfo) -> pd.DataFrame:
    """Return the page as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "started": fmt.clock(row.started_at, snapshot.now, zone),
                "status": row.status if not row.error_type else f"{row.status}: {row.error_type}",
                "model": row.model,
                "asked": row.preview,
                "duration": fmt.seconds(row.duration),
                "first token": fmt.seconds(row.time_to_first_token),
                "per token": fmt.seconds(row.time_per_output_token),
                "tokens in": fmt.count(row.input_tokens),
                "out": fmt.count(row.output_tokens),
                "cost": fmt.money(row.cost),
                "PII": ", ".join(row.pii_types),
                "team": row.team,
                "source": row.source,
                "environment": row.environment,
            }
            for row in snapshot.page.rows
        ]
    )


def _unknown(traffic: Traffic) -> str:
    if traffic.cost is None or not traffic.requests_without_cost:
        return ""
    return f" (unknown for {fmt.share(traffic.share_without_cost)})"
