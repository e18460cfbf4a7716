"""Alert rules: what they may say, and how they are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from processors.errors import InvalidRule
from processors.records import Measurement, Severity

Aggregation = Literal["share", "mean", "sum", "count", "p50", "p95", "p99", "detection"]
PACKAGED: Final = Path(__file__).with_name("rules.yaml")

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def _flag(value: bool) -> float:
    return 1.0 if value else 0.0


SIGNALS: Final[dict[str, Callable[[Measurement], float | None]]] = {
    "requests": lambda m: 1.0,
    "error": lambda m: _flag(m.status == "error"),
    "cancelled": lambda m: _flag(m.status == "cancelled"),
    "input_pii": lambda m: _flag(m.input_pii > 0),
    "output_pii": lambda m: _flag(m.output_pii > 0),
    "unknown_cost": lambda m: _flag(m.cost is None),
    "cost": lambda m: m.cost,
    "duration": lambda m: m.duration,
    "time_to_first_token": lambda m: m.time_to_first_token,
    "time_per_output_token": lambda m: m.time_per_output_token,
    "input_tokens": lambda m: m.input_tokens,
    "output_tokens": lambda m: m.output_tokens,
}
"""Signal of a measurement to its value; None where this inference has none."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alert rule. Seconds throughout; `summary` is a template over `value`, `threshold` and `events`.

    It breaches while the value is above `threshold`. A firing alert recovers when the value is at or below
    `recovery_threshold` (by default `threshold`) for `keep_firing_seconds`.
    """

    name: str
    severity: Severity
    signal: str
    aggregation: Aggregation
    threshold: float
    summary: str
    window_seconds: float = 60.0
    recovery_threshold: float | None = None
    minimum_events: int = 1
    for_seconds: float = 0.0
    keep_firing_seconds: float = 0.0
    retrain: bool = False

    @property
    def recovers_at(self) -> float:
        """The value at which a firing alert begins to recover."""
        return self.threshold if self.recovery_threshold is None else self.recovery_threshold

    def value_of(self, measurement: Measurement) -> float | None:
        """Return this rule's signal of a measurement; None where it has none."""
        value = SIGNALS[self.signal](measurement)
        return None if value is None else float(value)

    def describe(self, value: float, threshold: float, events: int) -> str:
        """Return the summary for a value and what it was compared with."""
        return self.summary.format(value=value, threshold=threshold, events=events)


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rules."""

    rules: tuple[Rule, ...]


def load_rules(path: Path | None = None) -> tuple[Rule, ...]:
    """Read rules, by default the starter set.

    Raises:
        InvalidRule: not readable, or something in it does not fit; says where.
    """
    path = path or PACKAGED
    try:
        rules = msgspec.yaml.decode(path.read_bytes(), type=RuleFile).rules
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidRule(str(path), str(error)) from error
    for rule in rules:
        _check(rule, str(path))
    names = [rule.name for rule in rules]
    for name in {name for name in names if names.count(name) > 1}:
        raise InvalidRule(str(path), f"rule {name}: the name is used twice")
    return rules


def _check(rule: Rule, path: str) -> None:
    if rule.aggregation != "detection" and rule.signal not in SIGNALS:
        raise InvalidRule(path, f"rule {rule.name}: signal {rule.signal!r} is not one of {', '.join(SIGNALS)}")
    if rule.recovers_at > rule.threshold:
        raise InvalidRule(path, f"rule {rule.name}: recovery_threshold is above threshold, so it would flap")
    numbers = (rule.threshold, rule.recovers_at, rule.window_seconds, rule.for_seconds, rule.keep_firing_seconds)
    if not all(map(math.isfinite, numbers)):
        raise InvalidRule(path, f"rule {rule.name}: thresholds and seconds must be finite numbers")
    if rule.window_seconds <= 0 or rule.for_seconds < 0 or rule.keep_firing_seconds < 0:
        raise InvalidRule(path, f"rule {rule.name}: window_seconds must be above 0, the other seconds 0 or more")
    if rule.aggregation == "detection" and rule.for_seconds > 0:
        raise InvalidRule(path, f"rule {rule.name}: a detection is a moment, so with for_seconds it would never fire")
    try:
        rule.describe(0.0, 0.0, 0)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise InvalidRule(path, f"rule {rule.name}: summary is no template over value, threshold, events") from error
