"""Charts from query results. Each is a pure function; axes carry their units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import altair as alt
import pandas as pd

from dashboard import palette
from dashboard.formatting import words
from storage.queries import Latency, PiiCount, Point, Traffic

HEIGHT: Final = 260
AXIS: Final[dict[str, Any]] = {"grid": True, "gridOpacity": 0.4, "tickCount": 4, "domain": False, "ticks": False}
"""How an axis of figures looks."""


def stacked(
    points: Sequence[Point],
    parts: Mapping[str, Callable[[Traffic], float]],
    colours: Mapping[str, str],
    unit: str,
    step: timedelta,
    number: str = "~s",
) -> alt.Chart:
    """Return stacked bars, one a step; the last step, which still fills, is paler. `number` is a d3 format."""
    rows = []
    for point in points:
        bottom = 0.0
        for name, figure in parts.items():
            value = float(figure(point.traffic))
            rows.append((point.at, point.at + step, name, value, bottom, bottom + value, point is points[-1]))
            bottom += value
    frame = pd.DataFrame(rows, columns=["at", "until", "part", "value", "bottom", "top", "filling"])
    title = f"{unit} per {step_words(step)}"
    axis = alt.Axis(format=number, **AXIS)
    chart: alt.Chart = (
        alt.Chart(frame, height=HEIGHT)
        .mark_rect()
        .encode(
            x=time_axis("at"),
            x2="until:T",
            y=alt.Y("bottom:Q", title=title, axis=axis, scale=alt.Scale(zero=True, nice=True)),
            y2="top:Q",
            color=colour("part:N", {name: colours[name] for name in parts}),
            opacity=alt.condition("datum.filling", alt.value(0.45), alt.value(1.0)),
            tooltip=[when(), alt.Tooltip("part:N", title="what"), alt.Tooltip("value:Q", title=title, format=",.6~g")],
        )
    )
    return chart


def quantiles(
    points: Sequence[Point], figure: Callable[[Traffic], Latency], names: Sequence[str] = ("p50", "p95")
) -> alt.Chart:
    """Return lines of quantiles in milliseconds or seconds; steps without a measurement are gaps."""
    found = [
        {"at": point.at, "quantile": name, "value": getattr(figure(point.traffic), name)}
        for name in names
        for point in points
    ]
    frame = pd.DataFrame(found, columns=["at", "quantile", "value"])
    frame["value"] = frame["value"].astype(float)
    largest = frame["value"].max()
    scale, unit = (1.0, "s") if largest >= 1 else (1e3, "ms")
    frame["value"] *= scale
    chart: alt.Chart = (
        alt.Chart(frame, height=HEIGHT)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=14), clip=True)
        .encode(
            x=time_axis("at"),
            y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=True), axis=alt.Axis(format=",~r", **AXIS)),
            color=colour("quantile:N", {name: palette.LATENCY[name] for name in names}),
            tooltip=[when(), "quantile:N", alt.Tooltip("value:Q", title=unit, format=",.4~g")],
        )
    )
    return chart


def pii(found: Sequence[PiiCount]) -> alt.Chart:
    """Return bars of hits by entity type, the most first, coloured by place."""
    frame = pd.DataFrame(
        [
            {"type": one.entity_type, "place": one.place, "hits": one.hits, "inferences": one.inferences}
            for one in found
        ],
        columns=["type", "place", "hits", "inferences"],
    )
    kinds = frame["type"].nunique()
    colours = {place: palette.PII.get(place, "#9aa3ae") for place in sorted(set(frame["place"]))}
    chart: alt.Chart = (
        alt.Chart(frame, height=max(HEIGHT, 110 + 28 * kinds))
        .mark_bar(height=16, cornerRadiusEnd=2)
        .encode(
            y=alt.Y("type:N", title=None, sort="-x", axis=alt.Axis(domain=False, ticks=False, labelLimit=180)),
            x=alt.X("sum(hits):Q", title="hits", axis=alt.Axis(format="~s", tickMinStep=1, **AXIS)),
            color=colour("place:N", colours),
            tooltip=[
                "type:N",
                "place:N",
                alt.Tooltip("sum(hits):Q", title="hits"),
                alt.Tooltip("sum(inferences):Q", title="inferences"),
            ],
        )
    )
    return chart


def timeline(spans: pd.DataFrame, marks: pd.DataFrame, start: datetime, end: datetime) -> alt.LayerChart:
    """Return alerts as bars from start to end and detections as diamonds, one row a model and signal.

    `spans` has the columns row, state, since, until, summary; `marks` row, at, detector, statistic, threshold.
    """
    rows = sorted({*spans["row"], *marks["row"]})
    y = alt.Y(
        "row:N",
        title=None,
        sort=rows,
        axis=alt.Axis(domain=False, ticks=False, labelLimit=260, grid=True, gridOpacity=0.25),
    )
    domain = between(start, end)
    bars = (
        alt.Chart(spans)
        .mark_bar(height=12, opacity=0.85, cornerRadius=2, clip=True)
        .encode(
            y=y,
            x=time_axis("since", domain),
            x2="until:T",
            color=colour("state:N", {state: palette.ALERT[state] for state in ("firing", "pending")}),
            tooltip=["summary:N", "state:N", when("since"), when("until")],
        )
    )
    points = (
        alt.Chart(marks)
        .mark_point(shape="diamond", size=110, filled=True, color=palette.DRIFT, stroke="white", opacity=1, clip=True)
        .encode(
            y=y,
            x=time_axis("at", domain),
            tooltip=[
                when(),
                "detector:N",
                alt.Tooltip("statistic:Q", format=".4~g"),
                alt.Tooltip("threshold:Q", format=".4~g"),
            ],
        )
    )
    return alt.LayerChart(layer=[bars, points], height=max(110, 50 + 30 * len(rows)))


def time_axis(column: str, scale: alt.Scale | None = None) -> alt.X:
    """Return the axis of times in a column."""
    options: dict[str, Any] = {} if scale is None else {"scale": scale}
    axis = alt.Axis(grid=False, tickCount=6, labelOverlap=True, format="%H:%M", labelFlush=True)
    return alt.X(f"{column}:T", title=None, axis=axis, **options)


def colour(field: str, colours: Mapping[str, str]) -> alt.Color:
    """Return the colours of the values of a field, with a legend where there are several."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    legend = alt.Legend(orient="top", title=None, offset=4) if len(colours) > 1 else None
    return alt.Color(field, title=None, scale=scale, legend=legend)


def when(column: str = "at") -> alt.Tooltip:
    """Return the time in a column as a tooltip shows it."""
    return alt.Tooltip(f"{column}:T", title=column, format="%d %b %H:%M:%S")


def step_words(step: timedelta) -> str:
    """Return what follows "per"."""
    return f"{step.seconds} s" if step < timedelta(minutes=1) else words(step)


def between(start: datetime, end: datetime) -> alt.Scale:
    """Return the scale of an axis of times that shows all of a range."""
    return alt.Scale(domain=[start.timestamp() * 1e3, end.timestamp() * 1e3])
