"""Yes-or-no streams (errors, PII hits): an exact sequential test for a share that has risen or fallen.

The statistic is a mixture of Shiryaev-Roberts e-detectors: J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", New England Journal of Statistics in Data Science 2, 2024. For
each alternative share q of a grid, M ← (M + 1) · L, with L the likelihood ratio of q against the baseline p; the mean
of all M is compared with the expected run length. For every share on the normal side of p the mean run length to a
false alarm is then at least that: a theorem (Doob), not an approximation, for streams of independent events.

Where no baseline is given, p is a Clopper-Pearson bound from a warm-up: the promise then holds with that confidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, cast

from scipy.stats import beta

from detectors.errors import BadInput, BadSetting
from detectors.protocols import JSON, Detection, NumericDetector, Snapshot
from detectors.state import Reader, header

NAME = "proportion"
VERSION = 1
_GRID = 12


@dataclass(frozen=True, slots=True)
class ProportionSettings:
    """How to watch a share.

    Attributes:
        direction: which change matters.
        expected_run_length: events between false alarms, on average, at least.
        baseline: the normal share, between 0 and 1; None to learn it.
        warm_up: events from which it is learnt.
        confidence: that the true share is on the normal side of what was learnt.
    """

    direction: Literal["up", "down"] = "up"
    expected_run_length: int = 20_000
    baseline: float | None = None
    warm_up: int = 200
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if self.direction not in ("up", "down"):
            raise BadSetting("direction", self.direction, "must be 'up' or 'down'")
        if self.expected_run_length < 10:
            raise BadSetting("expected_run_length", self.expected_run_length, "at least 10")
        if self.baseline is not None and not 0.0 < self.baseline < 1.0:
            raise BadSetting("baseline", self.baseline, "must be between 0 and 1, or None to learn it")
        if self.warm_up < 10:
            raise BadSetting("warm_up", self.warm_up, "at least 10")
        if not 0.5 <= self.confidence < 1.0:
            raise BadSetting("confidence", self.confidence, "at least 0.5, below 1")


class ProportionStream:
    """Watches the share of ones; after a detection it stays in drift, silent, until the share is back to normal."""

    def __init__(self, settings: ProportionSettings | None = None) -> None:
        """Start warming up, or watching where the baseline is given."""
        self.settings = settings or ProportionSettings()
        self._seen = 0
        self.in_drift = False
        self.rebase()

    @property
    def baseline(self) -> float | None:
        """The normal share the stream is held against; None while warming up."""
        return self._baseline

    @property
    def statistic(self) -> float:
        """The mixture's value, to be compared with the expected run length."""
        return math.fsum(self._values) / _GRID

    def update(self, x: float, at: float) -> Detection | None:
        """Take 1 (or True) for yes, 0 for no; see `NumericDetector`."""
        if x not in (0, 1):
            raise BadInput(f"value {x!r}", "stream", "must be 0 or 1")
        self._seen += 1
        if self._baseline is None:
            self._warm_up(int(x))
            return None
        self._advance(bool(x))
        statistic, threshold = self.statistic, float(self.settings.expected_run_length)
        if self.in_drift:
            self.in_drift = statistic >= math.sqrt(threshold)
            return None
        if statistic < threshold:
            return None
        self.in_drift = True
        return Detection(
            detector=NAME,
            index=0,
            seen=self._seen,
            statistic=statistic,
            threshold=threshold,
            window=int(self._count),
            before=self._learnt,
            after=self._ones / self._count,
            at=at,
        )

    def rebase(self) -> None:
        """Take what comes next as the new normal; a baseline from the settings stays."""
        self.in_drift = False
        self._warm_count = self._warm_ones = 0
        self._baseline = self._learnt = self.settings.baseline
        self._start_test()

    def _warm_up(self, x: int) -> None:
        self._warm_count += 1
        self._warm_ones += x
        if self._warm_count == self.settings.warm_up:
            self._learnt = self._warm_ones / self._warm_count
            self._baseline = self._bound(self._warm_ones, self._warm_count)
            self._start_test()

    def _bound(self, ones: int, count: int) -> float:
        """Clopper-Pearson bound of the share on the side that matters, kept off 0 and 1."""
        if self.settings.direction == "up":
            edge = beta.ppf(self.settings.confidence, ones + 1, count - ones) if ones < count else 1.0
        else:
            edge = beta.ppf(1.0 - self.settings.confidence, ones, count - ones + 1) if ones else 0.0
        return min(max(float(edge), 1e-6), 1.0 - 1e-6)

    def _start_test(self) -> None:
        self._values = [0.0] * _GRID
        self._count = self._ones = 0.0
        if self._baseline is not None:
            self._ratios = [_ratios(self._baseline, q) for q in _alternatives(self._baseline, self.settings.direction)]

    def _advance(self, x: bool) -> None:
        cap = self.settings.expected_run_length * 100.0
        # The cap bounds how long a share that is back to normal needs to be seen as such.
        self._values = [
            min((value + 1.0) * (yes if x else no), cap)
            for value, (yes, no) in zip(self._values, self._ratios, strict=True)
        ]
        # What the stream looked like lately, for people: a mean that forgets with a hundred events.
        self._count += 1.0 if self._count < 100.0 else 0.0
        self._ones += float(x) - (self._ones / 100.0 if self._count >= 100.0 else 0.0)

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        return header(NAME, VERSION, self.settings) | {
            "seen": self._seen,
            "in_drift": self.in_drift,
            "warm_count": self._warm_count,
            "warm_ones": self._warm_ones,
            "baseline": self._baseline,
            "learnt": self._learnt,
            "recent": [self._count, self._ones],
            "values": cast("list[JSON]", list(self._values)),
        }

    @classmethod
    def from_snapshot(cls, settings: ProportionSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(NAME, VERSION, settings, state)
        made = cls(settings)
        made._seen = reader.integer("seen")
        made.in_drift = reader.flag("in_drift")
        made._warm_count, made._warm_ones = reader.integer("warm_count"), reader.integer("warm_ones")
        if reader.has("baseline"):
            made._baseline, made._learnt = reader.number("baseline"), reader.number("learnt")
            if not 0.0 < made._baseline < 1.0:
                raise reader.refuse(f"baseline is {made._baseline}")
            made._start_test()
        recent, values = reader.numbers("recent"), reader.numbers("values")
        if len(values) != _GRID or len(recent) != 2:
            raise reader.refuse(f"values has {len(values)} numbers, not {_GRID}")
        made._count, made._ones = recent
        made._values = values
        return made


def _alternatives(p: float, direction: str) -> list[float]:
    """Shares beyond p, evenly spaced in log-odds up to a factor of e^4: from a small rise to nearly always."""
    step = (4.0 if direction == "up" else -4.0) / _GRID
    odds = math.log(p / (1.0 - p))
    return [1.0 / (1.0 + math.exp(-odds - step * (i + 1))) for i in range(_GRID)]


def _ratios(p: float, q: float) -> tuple[float, float]:
    """Likelihood ratio of q against p at a one, and at a zero."""
    return q / p, (1.0 - q) / (1.0 - p)


if TYPE_CHECKING:
    _: NumericDetector = ProportionStream()
