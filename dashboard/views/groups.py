"""Traffic by model, team, prompt and the like."""

from __future__ import annotations

from typing import Final, get_args

import pandas as pd
import streamlit as st

from dashboard import formatting as fmt
from dashboard.views.snapshot import Snapshot
from storage.queries import Dimension, Group

DIMENSIONS: Final = {name: name.replace("_", " ") for name in get_args(Dimension)}


def draw(snapshot: Snapshot) -> None:
    """Draw the table of the dimension that is chosen."""
    title, choice, _ = st.columns([1, 2, 5], vertical_alignment="center")
    title.markdown("**Traffic by**")
    dimension = choice.selectbox(
        "Traffic by",
        list(DIMENSIONS),
        format_func=DIMENSIONS.__getitem__,
        index=list(DIMENSIONS).index("model"),
        key="dimension",
        label_visibility="collapsed",
    )
    if not snapshot.groups:
        st.caption("No traffic.")
        return
    st.dataframe(table(snapshot.groups, dimension), hide_index=True, width="stretch", height="content")


def table(groups: tuple[Group, ...], dimension: str) -> pd.DataFrame:
    """Return the groups as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                DIMENSIONS[dimension]: fmt.named(group.name, DIMENSIONS[dimension]),
                "requests": fmt.count(group.traffic.requests),
                "errors": fmt.share(group.traffic.error_share),
                "TTFT p50": fmt.seconds(group.traffic.time_to_first_token.p50),
                "TTFT p95": fmt.seconds(group.traffic.time_to_first_token.p95),
                "per token p50": fmt.seconds(group.traffic.time_per_output_token.p50),
                "duration p50": fmt.seconds(group.traffic.duration.p50),
                "duration p95": fmt.seconds(group.traffic.duration.p95),
                "tokens in": fmt.count(group.traffic.input_tokens or None),
                "tokens out": fmt.count(group.traffic.output_tokens or None),
                "cost": fmt.money(group.traffic.cost),
                "of unknown cost": fmt.share(group.traffic.share_without_cost),
                "with PII": fmt.share(group.traffic.share_with_pii),
            }
            for group in groups
        ]
    )
