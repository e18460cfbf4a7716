"""One alert over time, as Prometheus' `for` and `keep_firing_for` have it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alert.machine import Machine
from tests.unit.processors.makers import rule

Value = float | None

# Settings of the rule (threshold 0.5), then moments: (time, value, what changed).
SERIES: dict[str, tuple[dict[str, Any], list[tuple[float, Value, list[str]]]]] = {
    "nothing below the threshold": ({}, [(0, 0.1, []), (1, 0.5, []), (2, None, [])]),
    "at once without for": ({}, [(0, 0.1, []), (1, 0.6, ["firing"]), (2, 0.6, []), (3, 0.5, ["resolved"])]),
    "no pending is told without for": ({}, [(0, 0.51, ["firing"])]),
    "no data resolves what fires": ({}, [(0, 0.6, ["firing"]), (1, None, ["resolved"])]),
    "no data at first": ({}, [(0, None, []), (1, 0.6, ["firing"])]),
    "for must pass": (
        {"for_seconds": 10},
        [(0, 0.6, ["pending"]), (5, 0.6, []), (9.9, 0.6, []), (10, 0.6, ["firing"]), (20, 0.6, [])],
    ),
    "for is from the breach, not from the first look": (
        {"for_seconds": 10},
        [(0, 0.1, []), (4, 0.6, ["pending"]), (10, 0.6, []), (14, 0.6, ["firing"])],
    ),
    "for begins anew after a recovery": (
        {"for_seconds": 10},
        [(0, 0.6, ["pending"]), (5, 0.4, ["resolved"]), (6, 0.6, ["pending"]), (15, 0.6, []), (16, 0.6, ["firing"])],
    ),
    "no data ends what is pending": (
        {"for_seconds": 10},
        [(0, 0.6, ["pending"]), (5, None, ["resolved"]), (11, 0.6, ["pending"])],
    ),
    "the threshold itself ends what is pending": (
        {"for_seconds": 10, "recovery_threshold": 0.2},
        [(0, 0.6, ["pending"]), (5, 0.5, ["resolved"])],
    ),
    "a gap in evaluation longer than for": ({"for_seconds": 10}, [(0, 0.6, ["pending"]), (60, 0.6, ["firing"])]),
    "keep firing": (
        {"keep_firing_seconds": 10},
        [(0, 0.6, ["firing"]), (5, 0.6, []), (6, 0.1, []), (14.9, 0.1, []), (15, 0.1, ["resolved"])],
    ),
    "keep firing through no data": (
        {"keep_firing_seconds": 10},
        [(0, 0.6, ["firing"]), (1, None, []), (9, None, []), (10, None, ["resolved"])],
    ),
    "a breach while kept begins keeping anew": (
        {"keep_firing_seconds": 10},
        [(0, 0.6, ["firing"]), (5, 0.1, []), (9, 0.6, []), (18, 0.1, []), (19, 0.1, ["resolved"])],
    ),
    "flapping is one alert while it is kept": (
        {"keep_firing_seconds": 10},
        [(0, 0.6, ["firing"]), (1, 0.1, []), (2, 0.6, []), (3, 0.1, []), (4, 0.6, []), (5, 0.1, [])],
    ),
    "flapping is many alerts where nothing is kept": (
        {},
        [(0, 0.6, ["firing"]), (1, 0.1, ["resolved"]), (2, 0.6, ["firing"]), (3, 0.1, ["resolved"])],
    ),
    "between the thresholds it goes on": (
        {"recovery_threshold": 0.2},
        [(0, 0.6, ["firing"]), (1, 0.3, []), (2, 0.21, []), (3, 0.2, ["resolved"])],
    ),
    "between the thresholds it does not begin": (
        {"recovery_threshold": 0.2},
        [(0, 0.3, []), (1, 0.5, []), (2, 0.6, ["firing"]), (3, 0.1, ["resolved"]), (4, 0.3, [])],
    ),
    "above the recovery threshold counts as a breach for keeping": (
        {"recovery_threshold": 0.2, "keep_firing_seconds": 10},
        [(0, 0.6, ["firing"]), (8, 0.3, []), (9, 0.1, []), (17, 0.1, []), (18, 0.1, ["resolved"])],
    ),
    "for and keep together": (
        {"for_seconds": 5, "keep_firing_seconds": 5},
        [(0, 0.6, ["pending"]), (5, 0.6, ["firing"]), (6, 0.1, []), (9, 0.1, []), (10, 0.1, ["resolved"])],
    ),
    "keeping is for what fires, not for what is pending": (
        {"for_seconds": 5, "keep_firing_seconds": 50},
        [(0, 0.6, ["pending"]), (1, 0.1, ["resolved"])],
    ),
    "fires again after it resolved": (
        {"for_seconds": 2},
        [(0, 1, ["pending"]), (2, 1, ["firing"]), (3, 0, ["resolved"]), (4, 1, ["pending"]), (6, 1, ["firing"])],
    ),
    "time that stands still": ({}, [(0, 0.6, ["firing"]), (0, 0.6, []), (0, 0.1, ["resolved"]), (0, 0.6, ["firing"])]),
    "time that stands still does not satisfy for": ({"for_seconds": 1}, [(0, 0.6, ["pending"]), (0, 0.6, [])]),
    "a threshold of zero": ({"threshold": 0.0}, [(0, 0.0, []), (1, 1e-9, ["firing"]), (2, 0.0, ["resolved"])]),
    "a negative threshold": ({"threshold": -1.0}, [(0, -1.0, []), (1, 0.0, ["firing"]), (2, -1.5, ["resolved"])]),
}


@pytest.mark.parametrize("name", SERIES)
def test_series(name: str) -> None:
    settings, moments = SERIES[name]
    machine, watched = Machine(), rule(**settings)
    assert [(at, value, machine.advance(watched, at, value)) for at, value, _ in moments] == moments


def test_since_is_when_the_breach_began() -> None:
    machine, watched = Machine(), rule(for_seconds=5)
    for at in (3.0, 5.0, 8.0):
        machine.advance(watched, at, 1.0)
    assert (machine.state, machine.started_at, machine.breaches) == ("firing", 3.0, 1)


values = st.lists(st.tuples(st.floats(0, 20), st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0])), max_size=40)


@given(values, st.sampled_from([0.0, 3.0, 10.0]), st.sampled_from([0.0, 3.0, 10.0]), st.integers(0, 40))
def test_whatever_happens_changes_follow_each_other_and_a_restart_changes_nothing(
    steps: list[tuple[float, Value]], wait: float, keep: float, stop: int
) -> None:
    watched = rule(for_seconds=wait, keep_firing_seconds=keep, recovery_threshold=0.2)
    machine, restarted, now, told = Machine(), Machine(), 0.0, "resolved"
    for number, (passed, value) in enumerate(steps):
        now += passed
        if number == stop:
            restarted = msgspec.convert(msgspec.to_builtins(restarted), Machine)
        changes = machine.advance(watched, now, value)
        assert restarted.advance(watched, now, value) == changes
        for change in changes:
            assert change in {"resolved": {"pending", "firing"}, "pending": {"firing", "resolved"}}.get(
                told, {"resolved"}
            )
            told = change
    assert machine == restarted
