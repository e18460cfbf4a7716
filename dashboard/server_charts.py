"""Charts of what model servers say. Each is a pure function; axes carry their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import altair as alt
import pandas as pd

from dashboard import palette
from dashboard.charts import AXIS, HEIGHT, between, colour, step_words, time_axis, when
from storage.queries import LoadPoint

PARTS: Final = {
    "queue": "queue_time",
    "input": "compute_input_time",
    "inference": "compute_infer_time",
    "output": "compute_output_time",
}
"""Parts of the time of a request, from the bottom up, and the figure of each."""

Column = tuple[datetime, Mapping[str, float]]


def request_time(points: Sequence[LoadPoint], step: timedelta) -> alt.Chart:
    """Return what an average request spent its time with, in every step in which one succeeded."""
    columns = []
    for point in points:
        parts = {name: point.load.each(getattr(point.load, figure)) for name, figure in PARTS.items()}
        columns.append((point.at, {name: seconds for name, seconds in parts.items() if seconds is not None}))
    largest = max((sum(parts.values()) for _, parts in columns), default=0.0)
    scale, unit = (1.0, "s") if largest >= 1 else (1e3, "ms")
    scaled = [(at, {name: seconds * scale for name, seconds in parts.items()}) for at, parts in columns]
    return _stacked(scaled, palette.REQUEST, f"{unit} per request", step)


def failures(points: Sequence[LoadPoint], step: timedelta) -> alt.Chart:
    """Return failed requests by reason."""
    reasons = sorted({reason for point in points for reason in point.load.failures})
    colours = {reason: palette.FAILURE.get(reason, palette.FAILURE["UNKNOWN"]) for reason in reasons}
    columns = [(point.at, point.load.failures) for point in points]
    return _stacked(columns, colours, f"failures per {step_words(step)}", step)


def pending(points: Sequence[LoadPoint]) -> alt.Chart:
    """Return how many requests waited, on average; steps without a sample are gaps."""
    frame = pd.DataFrame([(point.at, point.load.pending) for point in points], columns=["at", "pending"])
    frame["pending"] = frame["pending"].astype(float)
    axis = alt.Axis(format="~s", **AXIS)
    # An axis from 0 to 0 has no numbers.
    scale = alt.Scale(domain=[0, max(1.0, frame["pending"].max(skipna=True))], nice=True)
    chart: alt.Chart = (
        alt.Chart(frame, height=HEIGHT)
        .mark_line(strokeWidth=2, color=palette.PENDING["pending"], point=alt.OverlayMarkDef(size=14), clip=True)
        .encode(
            x=time_axis("at"),
            y=alt.Y("pending:Q", title="requests that wait", scale=scale, axis=axis),
            tooltip=[when(), alt.Tooltip("pending:Q", format=",.3~g")],
        )
    )
    return chart


def _stacked(columns: Sequence[Column], colours: Mapping[str, str], title: str, step: timedelta) -> alt.Chart:
    """Return an area a step wide for each column: also one that stands alone is seen."""
    shown = between(columns[0][0], columns[-1][0] + step)
    rows = []
    for at, parts in columns:
        bottom = 0.0
        for name in (name for name in colours if name in parts):
            rows.append((at, at + step, name, parts[name], bottom, bottom + parts[name]))
            bottom += parts[name]
    frame = pd.DataFrame(rows, columns=["at", "until", "part", "value", "bottom", "top"])
    axis = alt.Axis(format=",~r", **AXIS)
    chart: alt.Chart = (
        alt.Chart(frame, height=HEIGHT)
        .mark_rect()
        .encode(
            x=time_axis("at", shown),
            x2="until:T",
            y=alt.Y("bottom:Q", title=title, axis=axis, scale=alt.Scale(zero=True, nice=True)),
            y2="top:Q",
            color=colour("part:N", colours),
            tooltip=[when(), alt.Tooltip("part:N", title="what"), alt.Tooltip("value:Q", title=title, format=",.4~g")],
        )
    )
    return chart
