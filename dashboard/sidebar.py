"""The choices that all pages share. They are part of the address, so that a link shows what its sender saw."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo

import streamlit as st

from dashboard.formatting import named
from dashboard.scope import DEFAULT, WINDOWS, Scope
from dashboard.store import recent_choices
from storage.client import StoreSettings
from storage.errors import StorageError
from storage.queries import Choices, Filters


def draw(settings: StoreSettings, zone: tzinfo) -> Scope:
    """Draw the sidebar and return what is chosen."""
    offered = _offered(settings)
    with st.sidebar:
        label = st.segmented_control(
            "Time range",
            list(WINDOWS),
            default=DEFAULT,
            key="range",
            required=True,
            bind="query-params",
            width="stretch",
        )
        environment = _choose("Environment", "environment", offered.environments)
        model = _choose("Model", "model", offered.models)
        team = _choose("Team", "team", offered.teams)
        st.caption(f"Times are in {zone}.")
    return Scope(WINDOWS[label or DEFAULT], Filters(environment=environment, model=model, team=team), zone)


def _choose(label: str, key: str, offered: Iterable[str]) -> str | None:
    nameless = named("", key)
    # What a link asks for stays on offer even when it had no traffic: silence may be why someone looks.
    asked = {value for value in (st.query_params.get(key), st.session_state.get(key)) if value}
    chosen: str | None = st.selectbox(
        label,
        sorted({*offered, *asked - {nameless}}),
        index=None,
        format_func=lambda value: value or nameless,
        placeholder="All",
        key=key,
        bind="query-params",
    )
    return chosen


def _offered(settings: StoreSettings) -> Choices:
    try:
        return recent_choices(settings)
    except StorageError:
        # The page itself says so, in words and once.
        return Choices()
