"""Wires views to Streamlit: what runs again by itself, what a click changes, and what happens without a store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID

import streamlit as st

from dashboard.config import DashboardSettings
from dashboard.scope import Scope
from dashboard.store import reader, recent_choices, say
from dashboard.views import drift, explorer, overview, servers
from storage.errors import StorageError
from storage.queries import Cursor, Dimension

FOLLOW: Final = "follow"


def overview_page(settings: DashboardSettings, scope: Scope) -> None:
    """Overview, drawn again every few seconds."""

    def draw() -> None:
        dimension = cast(Dimension, st.session_state.get("dimension") or "model")
        try:
            snapshot = overview.load(reader(settings.store), scope, datetime.now(UTC), dimension)
        except StorageError as error:
            say(error)
            return
        overview.render(snapshot, scope)

    st.title("Overview")
    st.fragment(draw, run_every=settings.refresh_seconds)()


def drift_page(settings: DashboardSettings, scope: Scope) -> None:
    """Drift and alerts, drawn again every few seconds."""

    def draw() -> None:
        try:
            snapshot = drift.load(reader(settings.store), scope, datetime.now(UTC))
        except StorageError as error:
            say(error)
            return
        drift.render(snapshot, scope)

    st.title("Drift and alerts")
    if settings.slack_url:
        st.link_button("Open Slack", settings.slack_url, icon=":material/forum:")
    st.fragment(draw, run_every=settings.refresh_seconds)()


def servers_page(settings: DashboardSettings, scope: Scope) -> None:
    """Servers, drawn again every few seconds."""

    def draw() -> None:
        try:
            chosen = st.session_state.get("served")
            snapshot = servers.load(reader(settings.store), scope, datetime.now(UTC), chosen)
        except StorageError as error:
            say(error)
            return
        servers.render(snapshot, scope, settings.energy)

    st.title("Servers")
    st.fragment(draw, run_every=settings.refresh_seconds)()


def explorer_page(settings: DashboardSettings, scope: Scope) -> None:
    """Explorer. It stands still while someone reads, moves with `Follow`, and keeps trying without a store."""
    title, follow = st.columns([5, 1], vertical_alignment="bottom")
    title.title("Explorer")
    following = follow.toggle("Follow", key=FOLLOW, help="Show new inferences as they arrive. Opening one stops it.")
    narrowed = replace(scope, filters=explorer.narrow(scope.filters, _pii_types(settings)))

    def draw() -> None:
        if following and not st.session_state[FOLLOW]:
            st.rerun()
        try:
            trail = _trail(narrowed, moving=following)
            asked = _asked()
            found = reader(settings.store)
            place = len(trail.cursors)
            if place not in trail.lists:
                trail.lists[place] = explorer.load(found, narrowed, trail.at, trail.cursors[-1])
            snapshot = explorer.opened(found, trail.lists[place], asked)
        except StorageError as error:
            say(error)
            _wait_for_store(settings)
            return
        explorer.render(snapshot, narrowed, _follow_no_more, place=place)
        _turn(trail, snapshot.page.next, open=asked is not None)
        explorer.render_chosen(snapshot, narrowed, asked)

    st.fragment(draw, run_every=settings.refresh_seconds if following else None)()


@dataclass(slots=True)
class _Trail:
    """Pages that someone went through: where each began, as of when, and what it showed. A new question starts anew.

    What was shown is kept: events that arrive meanwhile would push other rows under the one that is selected.
    """

    question: Scope
    at: datetime
    cursors: list[Cursor | None] = field(default_factory=lambda: [None])
    lists: dict[int, explorer.Snapshot] = field(default_factory=dict)


def _trail(question: Scope, *, moving: bool) -> _Trail:
    trail: _Trail | None = st.session_state.get("trail")
    if trail is None or moving or trail.question != question:
        trail = st.session_state["trail"] = _Trail(question, datetime.now(UTC))
    return trail


def _turn(trail: _Trail, following: Cursor | None, *, open: bool) -> None:
    newest, newer, older, _, close = st.columns([1, 1, 1, 2, 1])
    if newest.button("Newest", icon=":material/refresh:", width="stretch", help="Ask again, as of now"):
        _forget()
    if newer.button("Newer", disabled=len(trail.cursors) == 1, icon=":material/chevron_left:", width="stretch"):
        trail.cursors.pop()
        st.rerun(scope="fragment")
    if older.button("Older", disabled=following is None, icon=":material/chevron_right:", width="stretch"):
        trail.cursors.append(following)
        st.rerun(scope="fragment")
    if open and close.button("Close", icon=":material/close:", width="stretch"):
        _pick(None)
        _forget()


def _forget() -> None:
    # A new trail also gives the list a new key, which is what lets go of the selected row.
    del st.session_state["trail"]
    st.rerun(scope="fragment")


def _follow_no_more(chosen: UUID | None) -> None:
    st.session_state[FOLLOW] = False
    _pick(chosen)


def _pick(chosen: UUID | None) -> None:
    if chosen is None:
        st.query_params.pop("event", None)
    else:
        st.query_params["event"] = str(chosen)


def _asked() -> UUID | None:
    given = st.query_params.get("event")
    if given is None:
        return None
    try:
        return UUID(given)
    except ValueError:
        st.warning(f"{given!r} in this page's address is not an event id.")
        return None


def _pii_types(settings: DashboardSettings) -> tuple[str, ...]:
    try:
        return recent_choices(settings.store).pii_types
    except StorageError:
        return ()


def _wait_for_store(settings: DashboardSettings) -> None:
    def knock() -> None:
        try:
            reader(settings.store).rows("SELECT 1 AS one", {})
        except StorageError:
            return
        st.rerun()

    st.fragment(knock, run_every=settings.refresh_seconds)()
