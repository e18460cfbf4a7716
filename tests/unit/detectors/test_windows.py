"""Sliding windows against a model that remembers everything."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.errors import BadInput, BadSetting, BadSnapshot
from detectors.sketch import RELATIVE_ERROR
from detectors.windows import SlidingWindow, WindowSettings

SPAN, STEP, LATE, EARLY = 60.0, 10.0, 30.0, 20.0
EVENTS = st.lists(
    st.tuples(
        st.floats(0.0, 400.0),
        st.floats(-1e6, 1e6).map(lambda x: x if abs(x) > 1e-6 else 0.0),
        st.booleans(),
        st.floats(0.0, 400.0),
    ),
    max_size=60,
)


@dataclass
class Model:
    """All events that ought to count, by step."""

    events: list[tuple[int, float, bool]]
    newest: int | None = None
    late: int = 0
    early: int = 0

    def add(self, at: float, value: float, error: bool, now: float) -> None:
        step = math.floor(at / STEP)
        if at > now + EARLY:
            self.early += 1
        elif self.newest is not None and step <= self.newest - (SPAN + LATE) / STEP:
            self.late += 1
        else:
            self.newest = max(step, self.newest) if self.newest is not None else step
            self.events.append((step, value, error))

    def within(self, now: float) -> list[tuple[float, bool]]:
        last = math.floor(now / STEP)
        return [(value, error) for step, value, error in self.events if last - SPAN / STEP < step <= last]


@settings(deadline=None)
@given(EVENTS, st.floats(-30.0, 120.0), st.integers(0, 60))
def test_a_window_answers_as_if_it_remembered_everything(
    events: list[tuple[float, float, bool, float]], ahead: float, stop: int
) -> None:
    window, model = SlidingWindow(SPAN, STEP, LATE, EARLY), Model([])
    for place, (at, value, error, now) in enumerate(events):
        if place == stop:
            window = SlidingWindow.from_snapshot(window.settings, json.loads(json.dumps(window.snapshot())))
        window.add(at, value, error=error, now=now)
        model.add(at, value, error, now)
    assert (window.dropped_late, window.dropped_early) == (model.late, model.early)
    now = (model.newest or 0) * STEP + ahead
    expected = model.within(now)
    values = sorted(value for value, _ in expected)
    assert window.count(now) == len(values)
    assert window.errors(now) == sum(error for _, error in expected)
    assert window.sum(now) == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-6)
    for q in (0.0, 0.5, 0.95, 1.0):
        quantile = window.quantile(now, q)
        if not values:
            assert quantile is None
            assert window.mean(now) is None
        else:
            exact = values[math.floor(q * (len(values) - 1))]
            assert quantile == pytest.approx(exact, rel=RELATIVE_ERROR * 1.000001, abs=1e-12)


def test_a_tumbling_window_forgets_at_the_boundary() -> None:
    window = SlidingWindow(60.0, 60.0)
    window.add(59.0, 1.0)
    assert [window.count(59.0), window.count(60.0)] == [1, 0]


def test_memory_stays_bounded_however_long_the_stream() -> None:
    window = SlidingWindow(60.0, 10.0, late_seconds=30.0)
    sizes = set()
    for at in range(0, 20_000, 5):
        window.add(float(at), 1.5)
        sizes.add(len(json.dumps(window.snapshot())))
    assert max(sizes) < 1500


def test_an_event_from_the_far_future_does_not_empty_the_window() -> None:
    window = SlidingWindow(60.0, 10.0)
    assert window.add(100.0, 1.0, now=100.0)
    assert not window.add(1e12, 1.0, now=100.0)
    assert window.count(100.0) == 1


def test_numbers_that_are_not_finite_are_refused() -> None:
    window = SlidingWindow(60.0, 10.0)
    with pytest.raises(BadInput):
        window.add(1.0, math.nan)
    with pytest.raises(BadInput):
        window.add(math.inf, 1.0)
    assert window.count(1.0) == 0


@pytest.mark.parametrize(("span", "step"), [(60.0, 0.0), (60.0, 7.0), (5.0, 10.0), (math.inf, 1.0)])
def test_a_span_that_is_not_whole_steps_is_refused(span: float, step: float) -> None:
    with pytest.raises(BadSetting):
        SlidingWindow(span, step)


def test_a_snapshot_of_another_window_is_refused() -> None:
    state = SlidingWindow(60.0, 10.0).snapshot()
    with pytest.raises(BadSnapshot, match="taken with"):
        SlidingWindow.from_snapshot(WindowSettings(120.0, 10.0), state)
    with pytest.raises(BadSnapshot, match="steps"):
        SlidingWindow.from_snapshot(WindowSettings(60.0, 10.0), state | {"steps": [[1]]})
