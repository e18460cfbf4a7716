"""The Page-Hinkley test: cumulative deviations from the running mean, in both directions.

E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954; decision for decision the test in river (without its
forgetting factor), with plain numbers as state. The threshold comes from the run length wanted between false alarms, by
the corrected diffusion approximation of D. Siegmund, "Sequential Analysis", 1985, section 2.6, for unit spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from detectors.errors import BadSetting


@dataclass(frozen=True, slots=True)
class PageHinkleySettings:
    """How the test decides; all in units of the normalised stream.

    Attributes:
        slack: half of the smallest shift worth finding, in standard deviations.
        expected_run_length: values between false alarms, on average, both directions together.
        grace: values before the first decision, from which the mean is learnt.
    """

    slack: float = 0.25
    expected_run_length: int = 20_000
    grace: int = 30

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if not 0.0 < self.slack <= 2.0:
            raise BadSetting("slack", self.slack, "must be above 0, at most 2")
        if self.expected_run_length < 10:
            raise BadSetting("expected_run_length", self.expected_run_length, "at least 10")
        if self.grace < 1:
            raise BadSetting("grace", self.grace, "at least 1")


@lru_cache(maxsize=64)
def threshold_for(slack: float, expected_run_length: float, spread_error: float = 0.0) -> float:
    """Threshold of the two-sided test on values of unit spread, such that false alarms come that far apart.

    `spread_error` is the standard error of the logarithm of the spread, where the unit was itself estimated: alarms are
    so much more frequent when it came out too small that their mean rate, not the rate at the mean, has to be right.
    """
    nodes = np.linspace(-3.0, 3.0, 13)
    spreads = np.exp(spread_error * nodes)
    shares = np.exp(-0.5 * nodes**2)
    shares /= shares.sum()

    def excess(height: float) -> float:
        rates = [2.0 / _run_length(slack / spread, height / spread) for spread in spreads.tolist()]
        return math.log(float(shares @ np.array(rates)) * expected_run_length)

    return float(brentq(excess, 0.0, 200.0 / slack))


def _run_length(slack: float, height: float) -> float:
    """Siegmund's approximation for one direction; capped where it is beyond all practical length."""
    b = min(2.0 * slack * (height + 1.166), 600.0)
    return (math.exp(b) - b - 1.0) / (2.0 * slack * slack)


class PageHinkley:
    """The running sums of one stream."""

    def __init__(self, settings: PageHinkleySettings, spread_error: float = 0.0) -> None:
        """Start afresh; for `spread_error` see `threshold_for`."""
        self.settings = settings
        self.threshold = threshold_for(settings.slack, settings.expected_run_length, spread_error)
        self.count, self.mean = 0, 0.0
        self._up, self._lowest = 0.0, math.inf
        self._down, self._highest = 0.0, -math.inf
        self._smooth = 0.0

    @property
    def statistic(self) -> float:
        """The larger of both directions' cumulative deviations."""
        return max(self._up - self._lowest, self._highest - self._down) if self.count else 0.0

    @property
    def recent(self) -> float:
        """Level of the last ten values or so: the new level, once a change is found."""
        return self._smooth

    def update(self, x: float) -> bool:
        """Take a value; whether the mean has changed."""
        self.count += 1
        self.mean += (x - self.mean) / self.count
        self._smooth += (x - self._smooth) / min(self.count, 10)
        deviation = x - self.mean
        self._up += deviation - self.settings.slack
        self._down += deviation + self.settings.slack
        self._lowest = min(self._lowest, self._up)
        self._highest = max(self._highest, self._down)
        return self.count >= self.settings.grace and self.statistic > self.threshold

    def numbers(self) -> list[float]:
        """The state; empty before the first value."""
        if not self.count:
            return []
        return [float(self.count), self.mean, self._up, self._lowest, self._down, self._highest, self._smooth]

    @classmethod
    def from_numbers(
        cls, settings: PageHinkleySettings, numbers: list[float], spread_error: float = 0.0
    ) -> PageHinkley:
        """Continue from `numbers`. Raises `ValueError` when they are not of this test."""
        made = cls(settings, spread_error)
        if numbers:
            count, made.mean, made._up, made._lowest, made._down, made._highest, made._smooth = numbers
            made.count = int(count)
        return made
