"""Spacing is kept: every gap of the replay is the gap of the trace, divided by the speed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.replay.arrival import Arrival
from ingest.replay.order import Bounds
from ingest.replay.schedule import when_they_arrive, when_they_end
from tests.unit.replay.traces import arrivals

times = st.lists(st.floats(0, 1e6), min_size=1, max_size=30).map(sorted)
speeds = st.floats(0.01, 10_000)


@given(times, speeds, st.floats(-2e9, 2e9))
def test_gaps_are_those_of_the_trace_divided_by_the_speed(values: list[float], speed: float, moment: float) -> None:
    dues = list(when_they_arrive(arrivals(*(moment + at for at in values)), speed))
    assert dues[0].begins == 0.0
    for due, at in zip(dues, values, strict=True):
        assert due.begins == due.sends
        assert due.begins == pytest.approx((at - values[0]) / speed, abs=1e-5 / speed)


@given(times, speeds, st.data())
def test_what_ends_is_sent_in_that_order_and_began_with_the_spacing_of_the_trace(
    values: list[float], speed: float, data: st.DataObject
) -> None:
    durations = data.draw(st.lists(st.floats(0, 1000), min_size=len(values), max_size=len(values)))

    def lasting(arrival: Arrival) -> float:
        return durations[arrival.line - 1]

    dues = list(when_they_end(arrivals(*values), speed, lasting))
    sends = [due.sends for due in dues if due.sends is not None]
    assert sends == sorted(sends)
    assert sorted(due.arrival.line for due in dues) == list(range(1, len(values) + 1))
    for due in dues:
        assert due.begins == (due.arrival.at - values[0]) / speed
        assert due.sends == due.begins + lasting(due.arrival)


def test_what_has_not_ended_is_held_only_within_bounds() -> None:
    taken: list[Arrival] = []

    def given_out() -> Iterator[Arrival]:
        for arrival in arrivals(*range(100)):
            taken.append(arrival)
            yield arrival

    dues = when_they_end(given_out(), 1.0, lambda _: 1000.0, Bounds(10))
    assert next(dues).begins == 0.0
    assert len(taken) == 11


def test_what_ends_before_the_next_arrives_is_not_held() -> None:
    taken: list[Arrival] = []

    def given_out() -> Iterator[Arrival]:
        for arrival in arrivals(0.0, 5.0, 10.0):
            taken.append(arrival)
            yield arrival

    dues = when_they_end(given_out(), 1.0, lambda _: 5.0)
    assert next(dues).sends == 5.0
    assert len(taken) == 2


@given(times)
def test_as_fast_as_possible_everything_is_due_at_once_in_the_order_of_the_file(values: list[float]) -> None:
    dues = list(when_they_end(arrivals(*values), None, lambda arrival: 100.0 - arrival.line))
    assert {(due.begins, due.sends) for due in dues} == {(None, None)}
    assert [due.arrival.line for due in dues] == list(range(1, len(values) + 1))
    assert [due.offset for due in dues] == [at - values[0] for at in values]
