"""The one reader that all sessions of this process share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from storage.client import StoreSettings
from storage.errors import StorageError, StoreRefused, StoreUnavailable
from storage.queries import Choices, Reader, TimeRange, choices, open_reader


@st.cache_resource(show_spinner=False, max_entries=4)
def reader(settings: StoreSettings) -> Reader:
    """Return the reader; a failure is not kept, the next call tries again.

    Raises:
        StoreUnavailable, StoreRefused: as `storage.queries.open_reader`.
    """
    return open_reader(settings)


@st.cache_data(ttl=10, max_entries=4, show_spinner=False)
def recent_choices(settings: StoreSettings) -> Choices:
    """Return what filters can offer: what occurred in the last day.

    Raises:
        StoreUnavailable, StoreRefused: from the store.
    """
    return choices(reader(settings), TimeRange.last(timedelta(hours=24), datetime.now(UTC)))


def say(error: StorageError) -> None:
    """Draw what is wrong with the store, in words, in place of what could not be shown."""
    title, advice = explanation(error)
    st.error(f"**{title}**\n\n{advice}", icon=":material/cloud_off:")


def explanation(error: StorageError) -> tuple[str, str]:
    """Return what is wrong and what to do about it."""
    if isinstance(error, StoreUnavailable):
        return (
            f"The store at {error.url} does not answer",
            f"{error.reason}. Nothing is shown rather than something old. This page keeps trying; "
            "`inferwatch doctor` tells what is running.",
        )
    if isinstance(error, StoreRefused) and error.code in (60, 81):
        return (
            "The store has no tables yet",
            f"{error.reason}. Run `inferwatch migrate`, or start a worker, which does so. This page keeps trying.",
        )
    return "The store refused the question", f"{error}. This page keeps trying."
