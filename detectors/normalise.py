"""Bringing a stream to unit spread, by the median and spread of its beginning.

Latencies and token counts are skewed and have outliers; a detector of mean shifts wants neither. Values are taken on a
log scale where asked, then (x - median) / (1.4826 · MAD), the robust z-score of F. R. Hampel, "The influence curve and
its role in robust estimation", JASA 69, 1974, then cut off at ±`clip` and divided such that the
warm-up's scores have standard deviation 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from detectors.errors import BadSetting


@dataclass(frozen=True, slots=True)
class NormaliserSettings:
    """How a stream is brought to unit spread.

    Attributes:
        warm_up: values from which median and spread are learnt.
        log: take log(x + `offset`) first: for values that are never negative and vary by factors.
        offset: what is taken as nothing, in the stream's units.
        clip: largest score before that division.
    """

    warm_up: int = 100
    log: bool = False
    offset: float = 1e-3
    clip: float = 4.0

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if self.warm_up < 10:
            raise BadSetting("warm_up", self.warm_up, "at least 10")
        if self.offset <= 0.0:
            raise BadSetting("offset", self.offset, "above 0")
        if self.clip < 1.0:
            raise BadSetting("clip", self.clip, "at least 1")

    @property
    def spread_error(self) -> float:
        """Standard error of the logarithm of the spread that is learnt, for values without heavy tails."""
        return 1.0 / math.sqrt(2.0 * self.warm_up)


@dataclass(frozen=True, slots=True)
class Normaliser:
    """What a warm-up taught, on the scale of the settings.

    Attributes:
        settings: what it was told.
        centre: the median.
        spread: the standard deviation, judged by the median absolute deviation.
        remainder: standard deviation of the scores after cutting off, by which they are divided.
    """

    settings: NormaliserSettings
    centre: float
    spread: float
    remainder: float

    @classmethod
    def learn(cls, settings: NormaliserSettings, values: list[float]) -> Normaliser:
        """From the warm-up's raw values."""
        scaled = [to_scale(settings, x) for x in values]
        centre = median(scaled)
        deviations = [abs(x - centre) for x in scaled]
        # Where most values are the same the MAD is 0: then the mean deviation, then anything above 0.
        spread = 1.4826 * median(deviations) or 1.2533 * fmean(deviations) or max(abs(centre), 1.0) * 1e-6
        first = cls(settings, centre, spread, 1.0)
        return cls(settings, centre, spread, pstdev([first.apply(x) for x in values]) or 1.0)

    def apply(self, x: float) -> float:
        """A raw value → its robust z-score."""
        z = (to_scale(self.settings, x) - self.centre) / self.spread
        return max(-self.settings.clip, min(self.settings.clip, z)) / self.remainder

    def undo(self, z: float) -> float:
        """A z-score → the stream's own units; on a log scale a mean of scores gives a geometric mean."""
        scaled = self.centre + z * self.remainder * self.spread
        return math.exp(scaled) - self.settings.offset if self.settings.log else scaled


def to_scale(settings: NormaliserSettings, x: float) -> float:
    """The value on the scale it is judged on; negative ones count as 0 on a log scale."""
    return math.log(max(x, 0.0) + settings.offset) if settings.log else x
