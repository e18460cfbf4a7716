"""The rules of one model: windows over its measurements, and a state machine a rule. Pure: time comes in."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from detectors.errors import BadSnapshot
from detectors.protocols import Snapshot
from detectors.windows import SlidingWindow
from processors.alert.machine import Change, Machine
from processors.alert.rules import QUANTILES, Rule
from processors.records import AlertTransition, DetectionRecord, Measurement, id_from
from processors.watermarks import Watermarks

log: Final = logging.getLogger(__name__)
_STEPS: Final = 60
"""Slices of a window: a value leaves it at most a sixtieth of its length late."""


class ModelAlerts:
    """Evaluates every rule for one model in one environment."""

    def __init__(self, rules: Sequence[Rule], environment: str, model: str) -> None:
        self.environment = environment
        self.model = model
        self._rules = rules
        self._watermarks = Watermarks()
        self._windows = {r.name: _window(r) for r in rules if r.aggregation != "detection"}
        self._machines = {r.name: Machine() for r in rules}
        self._latest = 0.0
        self._newest = 0.0
        self._behind = 0.0

    def measure(self, measurements: Iterable[Measurement], now: float) -> list[AlertTransition]:
        """Take measurements, those seen before excepted; return what changed by them.

        `now` is the clock's time: an event whose own clock runs ahead counts at `now`, or it would empty the windows.
        """
        fresh = self._watermarks.unseen(measurements)
        if not fresh:
            return []
        for rule in self._rules:
            window = self._windows.get(rule.name)
            if window is not None:
                for measurement in fresh:
                    value = rule.value_of(measurement)
                    if value is not None:
                        window.add(min(measurement.at, now), value)
        self._newest = max(self._newest, *(min(m.at, now) for m in fresh))
        self._behind = max(now - self._newest, 0.0)
        self._latest = max(self._latest, self._newest)
        return self._evaluate(self._latest)

    def detect(self, detection: DetectionRecord) -> list[AlertTransition]:
        """Take a detection; return what changed by it."""
        changes = []
        for rule in self._rules:
            if rule.aggregation == "detection" and rule.signal == detection.signal:
                now = max(detection.at, self._latest)
                changes += self._advance(rule, now, detection.statistic, detection.window_events, detection.threshold)
        return changes

    def tick(self, now: float) -> list[AlertTransition]:
        """Let time pass up to `now`, the clock's time; return what changed.

        Stream time stays as far behind the clock as events come late: with a pipeline that lags, windows that end at
        the clock's time would be empty, and nothing would ever fire.
        """
        self._latest = max(self._latest, now - self._behind)
        return self._evaluate(self._latest)

    def _evaluate(self, now: float) -> list[AlertTransition]:
        changes = []
        for rule in self._rules:
            value, events = self._value(rule, now)
            changes += self._advance(rule, now, value, events)
        return changes

    def _value(self, rule: Rule, now: float) -> tuple[float | None, int]:
        window = self._windows.get(rule.name)
        if window is None:
            return None, 0
        events = window.count(now)
        if events < rule.minimum_events:
            return None, events
        match rule.aggregation:
            case "count":
                return float(events), events
            case "sum":
                return window.sum(now), events
            case "share" | "mean":
                return window.mean(now), events
            case _:
                return window.quantile(now, QUANTILES[rule.aggregation]), events

    def _advance(
        self, rule: Rule, now: float, value: float | None, events: int, threshold: float | None = None
    ) -> list[AlertTransition]:
        """`threshold` is what the value was compared with where that was not the rule's own."""
        machine = self._machines[rule.name]
        limit = rule.threshold if threshold is None else threshold
        changes = machine.advance(rule, now, value)
        return [self._transition(rule, machine, change, now, value or 0.0, limit, events) for change in changes]

    def _transition(
        self, rule: Rule, machine: Machine, change: Change, now: float, value: float, limit: float, events: int
    ) -> AlertTransition:
        began = (f"{machine.started_at:.6f}", machine.breaches)
        alert_id = id_from("alert", rule.name, self.environment, self.model, *began)
        return AlertTransition(
            transition_id=id_from("transition", alert_id, change),
            alert_id=alert_id,
            at=now,
            started_at=machine.started_at,
            state=change,
            rule=rule.name,
            severity=rule.severity,
            environment=self.environment,
            model=self.model,
            signal=rule.signal,
            value=value,
            threshold=limit,
            events=events,
            summary=rule.describe(value, limit, events),
            retrain=rule.retrain and change == "firing",
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain JSON."""
        return {
            "environment": self.environment,
            "model": self.model,
            "latest": self._latest,
            "newest": self._newest,
            "behind": self._behind,
            "watermarks": self._watermarks.snapshot(),
            "windows": {name: window.snapshot() for name, window in self._windows.items()},
            "machines": {name: msgspec.to_builtins(machine) for name, machine in self._machines.items()},
        }

    @classmethod
    def restored(cls, snapshot: dict[str, Any], rules: Sequence[Rule]) -> ModelAlerts:
        """Return the state that a snapshot describes; a rule that is new since then starts afresh."""
        alerts = cls(rules, snapshot["environment"], snapshot["model"])
        alerts._latest = snapshot["latest"]
        alerts._newest = snapshot["newest"]
        alerts._behind = snapshot["behind"]
        alerts._watermarks = Watermarks(snapshot["watermarks"])
        for rule in rules:
            alerts._restore_window(rule, snapshot["windows"].get(rule.name))
            if rule.name in snapshot["machines"]:
                alerts._machines[rule.name] = msgspec.convert(snapshot["machines"][rule.name], Machine)
        return alerts

    def _restore_window(self, rule: Rule, saved: Snapshot | None) -> None:
        window = self._windows.get(rule.name)
        if window is None or saved is None:
            return
        try:
            self._windows[rule.name] = SlidingWindow.from_snapshot(window.settings, saved)
        except BadSnapshot:
            log.warning("Rule %s has another window than before: it starts empty", rule.name)


def _window(rule: Rule) -> SlidingWindow:
    return SlidingWindow(span_seconds=rule.window_seconds, step_seconds=rule.window_seconds / _STEPS)
