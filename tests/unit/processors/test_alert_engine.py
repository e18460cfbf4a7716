"""Rules over measurements and detections of one model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.windows import SlidingWindow
from processors.alert.engine import ModelAlerts
from processors.alert.rules import SIGNALS, Rule, load_rules
from processors.errors import InvalidRule
from processors.records import AlertTransition, DetectionRecord, Measurement, Position
from tests.unit.processors.makers import NOW, measurement, rule

LATER = NOW + 10_000


def alerts(*rules: Rule) -> ModelAlerts:
    return ModelAlerts(rules, "prod", "m")


def told(changes: list[AlertTransition]) -> list[tuple[str, float]]:
    return [(change.state, change.at - NOW) for change in changes]


def feed(
    watching: ModelAlerts, moments: list[tuple[float, dict[str, Any]]], first: int = 0, lag: float = 0.0
) -> list[AlertTransition]:
    """Let events arrive at once: the clock is where the newest of them is, or `lag` seconds further."""
    changes: list[AlertTransition] = []
    clock = NOW
    for offset, (at, fields) in enumerate(moments, first):
        clock = max(clock, NOW + at)
        changes += watching.measure([measurement(NOW + at, offset, **fields)], clock + lag)
    return changes


OK: dict[str, Any] = {}
BAD: dict[str, Any] = {"status": "error"}


def test_a_share_of_errors() -> None:
    watching = alerts(rule(threshold=0.4))
    (change,) = feed(watching, [(0, OK), (1, OK), (2, BAD), (3, BAD)])
    assert (change.state, change.at, change.started_at) == ("firing", NOW + 3, NOW + 3)
    assert (change.value, change.events, change.threshold) == (0.5, 4, 0.4)
    assert change.summary == "0.50 over 0.4 of 4"
    assert (change.rule, change.severity, change.environment, change.model) == ("r", "warning", "prod", "m")


def test_nothing_is_said_before_there_are_enough_events() -> None:
    watching = alerts(rule(minimum_events=3))
    assert feed(watching, [(0, BAD), (1, BAD)]) == []
    assert told(feed(watching, [(2, BAD)], 2)) == [("firing", 2)]


def test_what_fires_resolves_by_time_alone() -> None:
    watching = alerts(rule(keep_firing_seconds=30))
    feed(watching, [(0, BAD)])
    assert watching.tick(NOW + 50) == []  # still in the window
    assert watching.tick(NOW + 62) == []
    assert told(watching.tick(NOW + 90)) == [("resolved", 90)]


def test_pending_becomes_firing_by_time_alone() -> None:
    watching = alerts(rule(for_seconds=20))
    assert told(feed(watching, [(0, BAD)])) == [("pending", 0)]
    assert watching.tick(NOW + 19) == []
    assert told(watching.tick(NOW + 20)) == [("firing", 20)]


def test_a_pipeline_that_lags_by_more_than_a_window_still_fires_and_resolves() -> None:
    watching = alerts(rule(keep_firing_seconds=10))
    lag = 300.0
    watching.tick(NOW)
    assert told(feed(watching, [(0, OK), (1, BAD), (2, BAD), (3, BAD)], lag=lag)) == [("firing", 2)]
    assert watching.tick(NOW + 4 + lag) == []
    assert [state for state, _ in told(watching.tick(NOW + 200 + lag))] == ["resolved"]


def test_time_never_goes_back() -> None:
    watching = alerts(rule(for_seconds=20))
    watching.tick(NOW + 100)
    assert told(feed(watching, [(90, BAD)])) == [("pending", 100)]
    assert watching.tick(NOW + 50) == []
    assert told(watching.tick(NOW + 120)) == [("firing", 120)]


def test_a_late_event_counts_where_it_belongs() -> None:
    watching = alerts(rule(minimum_events=2))
    assert feed(watching, [(100, OK), (95, BAD), (98, BAD), (10, BAD)])[0].events == 3
    watching = alerts(rule(minimum_events=2))
    assert feed(watching, [(100, OK), (10, BAD), (11, BAD), (12, BAD)]) == []


def test_an_event_from_the_future_counts_at_the_present() -> None:
    watching = alerts(rule(minimum_events=4))
    changes: list[AlertTransition] = []
    for offset, at in enumerate((0, 1, 290, 2)):
        changes += watching.measure([measurement(NOW + at, offset, **BAD)], NOW + 2)
    assert told(changes) == [("firing", 2)]
    assert changes[0].events == 4


def test_a_measurement_that_comes_twice_counts_once() -> None:
    watching = alerts(rule(aggregation="count", signal="requests", threshold=2))
    batch = [measurement(NOW, 0), measurement(NOW, 1)]
    assert watching.measure(batch, LATER) == []
    assert watching.measure(batch, LATER) == []
    assert told(watching.measure([measurement(NOW, 2)], LATER)) == [("firing", 0)]


@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        ({"aggregation": "sum", "signal": "cost", "threshold": 0.5}, [0.2, None, 0.4], 0.6),
        ({"aggregation": "mean", "signal": "cost", "threshold": 0.25}, [0.2, None, 0.4], 0.3),
        ({"aggregation": "count", "signal": "cost", "threshold": 1}, [0.2, None, 0.4], 2.0),
        ({"aggregation": "share", "signal": "unknown_cost", "threshold": 0.3}, [0.2, 0.4, None], 1 / 3),
    ],
)
def test_what_is_unknown_has_no_part_in_a_value(
    settings: dict[str, Any], values: list[float | None], expected: float
) -> None:
    watching = alerts(rule(minimum_events=2, **settings))
    changes = feed(watching, [(0, {"cost": value}) for value in values])
    assert changes[-1].value == pytest.approx(expected)
    assert changes[-1].state == "firing"


def test_a_quantile_is_of_the_window() -> None:
    watching = alerts(
        rule(aggregation="p95", signal="time_to_first_token", threshold=2.0, minimum_events=20, window_seconds=60)
    )
    slow = [(0.0, {"time_to_first_token": 9.0})] * 3
    fast = [(1.0, {"time_to_first_token": 0.1})] * 20 + [(1.0, {})] * 20
    (change,) = feed(watching, slow + fast)
    assert change.events == 20
    assert change.value == pytest.approx(9.0, rel=0.02)
    assert told(feed(watching, [(70, {"time_to_first_token": 0.1})] * 20, 50)) == [("resolved", 70)]


def detection(at: float, statistic: float = 0.2, signal: str = "embedding") -> DetectionRecord:
    return DetectionRecord(
        detection_id="d",
        at=NOW + at,
        environment="prod",
        model="m",
        signal=signal,
        detector="mmd",
        statistic=statistic,
        threshold=0.1,
        window_events=30,
    )


DRIFT = rule(
    name="drift", aggregation="detection", signal="embedding", threshold=0.0, keep_firing_seconds=100, retrain=True
)


def test_a_detection_fires_until_none_has_come_for_a_while() -> None:
    watching = alerts(DRIFT, rule())
    (change,) = watching.detect(detection(0))
    assert (change.rule, change.value, change.events, change.retrain) == ("drift", 0.2, 30, True)
    assert watching.tick(NOW + 60) == []
    assert watching.detect(detection(90)) == []
    assert watching.tick(NOW + 189) == []
    (resolved,) = watching.tick(NOW + 190)
    assert (resolved.state, resolved.retrain, resolved.alert_id) == ("resolved", False, change.alert_id)


def test_a_detection_is_told_with_the_limit_that_its_detector_had() -> None:
    watching = alerts(rule(aggregation="detection", signal="embedding", threshold=0.0))
    (change,) = watching.detect(detection(0))
    assert (change.value, change.threshold, change.summary) == (0.2, 0.1, "0.20 over 0.1 of 30")


def test_a_detection_of_another_signal_is_nothing_to_a_rule() -> None:
    assert alerts(DRIFT).detect(detection(0, signal="duration")) == []
    assert alerts(DRIFT).detect(detection(0, statistic=0.0)) == []


def test_each_breach_is_an_alert_with_ids_of_its_own_even_at_one_moment() -> None:
    watching = alerts(rule(threshold=0.5))
    changes: list[AlertTransition] = []
    for offset, fields in enumerate([BAD, OK, BAD, OK, BAD, BAD]):
        changes += watching.measure([measurement(NOW, offset, **fields)], NOW)
    states = [change.state for change in changes]
    assert states == ["firing", "resolved", "firing", "resolved", "firing"]
    assert len({change.transition_id for change in changes}) == 5
    assert len({change.alert_id for change in changes}) == 3


def test_rules_of_one_model_do_not_disturb_each_other() -> None:
    watching = alerts(rule(name="a"), rule(name="b", minimum_events=2), rule(name="c", signal="cancelled"))
    assert [change.rule for change in feed(watching, [(0, BAD), (0, BAD)])] == ["a", "b"]


RULES = (
    rule(name="share", for_seconds=5, keep_firing_seconds=10, recovery_threshold=0.3, minimum_events=2),
    rule(name="p95", signal="duration", aggregation="p95", threshold=1.0, keep_firing_seconds=20),
    rule(name="count", signal="requests", aggregation="count", threshold=4),
    DRIFT,
)


def stream(seed: int, length: int) -> list[Measurement]:
    rng = random.Random(seed)
    at, made = NOW, []
    for offset in range(length):
        at += rng.choice([0.0, 0.5, 3.0, 30.0])
        status = rng.choice(["ok", "error"])
        position = Position(0, offset // 2, offset % 2)
        made.append(
            Measurement(
                event_id=str(offset),
                at=at - rng.choice([0, 0, 20]),
                source="t",
                position=position,
                environment="prod",
                model="m",
                status=status,
                duration=rng.choice([0.1, 5.0]),
            )
        )
    return made


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(0, 40))
def test_killed_anywhere_the_same_transitions_come_out(seed: int, saved: int, killed: int) -> None:
    measurements = stream(seed, 40)
    watching = alerts(*RULES)
    whole = [change for one in measurements for change in watching.measure([one], LATER)]

    first = alerts(*RULES)
    for one in measurements[:saved]:
        first.measure([one], LATER)
    snapshot = json.loads(json.dumps(first.snapshot()))
    lost = [change for one in measurements[saved : saved + killed] for change in first.measure([one], LATER)]
    second = ModelAlerts.restored(snapshot, RULES)
    again = [change for one in measurements for change in second.measure([one], LATER)]
    assert again[: len(lost)] == lost
    assert again == whole[len(whole) - len(again) :]
    assert second.snapshot() == watching.snapshot()


def test_a_rule_that_is_new_since_a_snapshot_starts_afresh() -> None:
    before = alerts(rule(name="old"))
    feed(before, [(0, BAD)])
    after = ModelAlerts.restored(before.snapshot(), (rule(name="old"), rule(name="new")))
    assert [change.rule for change in after.measure([measurement(NOW, 1, **BAD)], LATER)] == ["new"]


def test_a_rule_with_another_window_starts_with_an_empty_one(caplog: pytest.LogCaptureFixture) -> None:
    before = alerts(rule())
    feed(before, [(0, OK)] * 9)
    after = ModelAlerts.restored(before.snapshot(), (rule(window_seconds=30),))
    assert after.measure([measurement(NOW, 20, **BAD)], LATER)[0].events == 1
    assert "another window" in caplog.text


def test_the_packaged_rules_can_all_be_evaluated() -> None:
    rules = load_rules()
    assert {one.name for one in rules} >= {"errors", "pii-in-prompts", "topic-drift"}
    watching = alerts(*rules)
    assert watching.measure([measurement(NOW, n, status="error", time_to_first_token=60.0) for n in range(30)], LATER)
    for one in rules:
        assert one.describe(0.5, 0.1, 30)
        assert one.retrain == (one.name == "topic-drift")


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_signal_is_a_number_or_unknown(signal: str) -> None:
    value = rule(signal=signal).value_of(measurement(NOW, 0))
    assert value is None or isinstance(value, float)


GOOD = {
    "name": "r",
    "severity": "warning",
    "signal": "error",
    "aggregation": "share",
    "threshold": 0.5,
    "summary": "{value}",
}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"signal": "mood"}, "rule r: signal 'mood' is not one of requests, error"),
        ({"recovery_threshold": 0.6}, "rule r: recovery_threshold is above threshold"),
        ({"window_seconds": 0}, "rule r: window_seconds must be above 0"),
        ({"for_seconds": -1}, "rule r: window_seconds must be above 0, the other seconds 0 or more"),
        ({"summary": "{valeu}"}, "rule r: summary is no template"),
        ({"summary": "{0}"}, "rule r: summary is no template"),
        ({"summary": "{value"}, "rule r: summary is no template"),
        ({"summary": "{value:q}"}, "rule r: summary is no template"),
        ({"summary": "{value.none}"}, "rule r: summary is no template"),
        ({"summary": "{value[0]}"}, "rule r: summary is no template"),
        ({"aggregation": "detection", "for_seconds": 5}, "rule r: a detection is a moment"),
        ({"severity": "loud"}, "$.rules[0].severity"),
        ({"aggregation": "p42"}, "$.rules[0].aggregation"),
        ({"threshold": "high"}, "$.rules[0].threshold"),
        ({"thresholds": 1}, "thresholds"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"rules": [{**GOOD, **changed}]}))
    with pytest.raises(InvalidRule) as caught:
        load_rules(path)
    assert caught.value.path == str(path)
    assert reason in caught.value.reason


@pytest.mark.parametrize("field", ["threshold", "window_seconds", "keep_firing_seconds"])
@pytest.mark.parametrize("value", [".inf", ".nan"])
def test_a_number_that_is_not_finite_is_refused_when_it_is_read(tmp_path: Path, field: str, value: str) -> None:
    path = tmp_path / "rules.yaml"
    rest = "".join(f", {name}: {json.dumps(given)}" for name, given in GOOD.items() if name != field)
    path.write_text(f"rules: [{{{field}: {value}{rest}}}]")
    with pytest.raises(InvalidRule, match="rule r: thresholds and seconds must be finite"):
        load_rules(path)


@pytest.mark.parametrize(("text", "reason"), [("rules: [", "flow"), ("", "Expected"), ("\xe4", "Expected")])
def test_what_is_no_file_of_rules_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRule, match=reason):
        load_rules(path)


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"rules": [GOOD, GOOD]}))
    with pytest.raises(InvalidRule, match="rule r: the name is used twice"):
        load_rules(path)
    with pytest.raises(InvalidRule, match="none"):
        load_rules(tmp_path / "none")


def test_every_window_of_a_packaged_rule_can_be_made() -> None:
    for one in load_rules():
        assert SlidingWindow(one.window_seconds, one.window_seconds / 60).count(NOW) == 0
