"""Quantiles with a stated relative error from counts in logarithmic buckets; two sketches merge by adding counts.

C. Masson, J. E. Rim and H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", PVLDB 12(12), 2019. Negative values have buckets of their own; what is nearer to 0 than `SMALLEST`
counts as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from detectors.errors import BadInput

RELATIVE_ERROR = 0.01
SMALLEST = 1e-9
_GAMMA = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
# Beyond this many buckets of one sign the smallest magnitudes share one: 2,048 span 17 orders of magnitude.
MAX_BUCKETS = 2048


class Sketch:
    """Counts by bucket; bucket k of the positive values holds those in (g^(k-1), g^k], g = `_GAMMA`."""

    __slots__ = ("negative", "positive", "zeros")

    def __init__(self) -> None:
        """Start empty."""
        self.positive: dict[int, int] = {}
        self.negative: dict[int, int] = {}
        self.zeros = 0

    @property
    def count(self) -> int:
        """How many values it holds."""
        return self.zeros + sum(self.positive.values()) + sum(self.negative.values())

    def add(self, x: float) -> None:
        """Take a finite value."""
        if abs(x) < SMALLEST:
            self.zeros += 1
            return
        side = self.positive if x > 0.0 else self.negative
        bucket = math.ceil(math.log(abs(x)) / _LOG_GAMMA)
        side[bucket] = side.get(bucket, 0) + 1
        if len(side) > MAX_BUCKETS:
            _collapse(side)

    def merge(self, other: Sketch) -> None:
        """Take all values of another sketch."""
        self.zeros += other.zeros
        for mine, theirs in ((self.positive, other.positive), (self.negative, other.negative)):
            for bucket, count in theirs.items():
                mine[bucket] = mine.get(bucket, 0) + count
            while len(mine) > MAX_BUCKETS:
                _collapse(mine)

    def quantile(self, q: float) -> float | None:
        """The value of rank ⌊q · (count - 1)⌋, from 0, within the relative error; None when empty."""
        if not 0.0 <= q <= 1.0:
            raise BadInput(f"q={q!r}", "quantile", "must be from 0 to 1")
        total = self.count
        if not total:
            return None
        rank, below = math.floor(q * (total - 1)), 0
        for value, count in self._ascending():
            below += count
            if below > rank:
                return value
        raise AssertionError("counts add up")

    def _ascending(self) -> Iterable[tuple[float, int]]:
        for bucket in sorted(self.negative, reverse=True):
            yield -_middle(bucket), self.negative[bucket]
        if self.zeros:
            yield 0.0, self.zeros
        for bucket in sorted(self.positive):
            yield _middle(bucket), self.positive[bucket]

    def numbers(self) -> list[list[float]]:
        """The state as rows of sign, bucket and count."""
        rows = [[1.0, float(k), float(n)] for k, n in sorted(self.positive.items())]
        rows += [[-1.0, float(k), float(n)] for k, n in sorted(self.negative.items())]
        return [[0.0, 0.0, float(self.zeros)], *rows]

    @classmethod
    def from_numbers(cls, rows: list[list[float]]) -> Sketch:
        """Continue from `numbers`."""
        made = cls()
        for sign, bucket, count in rows:
            if sign == 0.0:
                made.zeros = int(count)
            else:
                (made.positive if sign > 0.0 else made.negative)[int(bucket)] = int(count)
        return made


def _middle(bucket: int) -> float:
    return 2.0 * math.exp(bucket * _LOG_GAMMA) / (_GAMMA + 1.0)


def _collapse(side: dict[int, int]) -> None:
    lowest, second = sorted(side)[:2]
    side[second] += side.pop(lowest)
