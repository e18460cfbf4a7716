"""ADWIN: a window that grows while the mean is steady and drops its old end when it is not.

A. Bifet and R. Gavaldà, "Learning from time-changing data with adaptive windowing", SIAM SDM 2007: the variant with
exponential buckets and variance-based bound (ADWIN2), decision for decision the one in river, which tests compare it
with. It is written out here because the state has to survive a restart and a change of versions: river keeps it inside
a compiled object that can be neither read nor pickled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from detectors.errors import BadSetting


@dataclass(frozen=True, slots=True)
class AdwinSettings:
    """How ADWIN decides.

    Attributes:
        delta: bound on the chance that one look at a steady window cuts it.
        clock: values between looks.
        max_buckets: buckets of one size before two are merged; more cuts finer.
        min_part: smallest part of the window that is compared.
        grace: values before the first look.
    """

    delta: float = 0.002
    clock: int = 32
    max_buckets: int = 5
    min_part: int = 5
    grace: int = 10

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if not 0.0 < self.delta < 1.0:
            raise BadSetting("delta", self.delta, "must be between 0 and 1")
        for name in ("clock", "max_buckets", "min_part"):
            if getattr(self, name) < 1:
                raise BadSetting(name, getattr(self, name), "at least 1")


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut the window: the means on either side, and by how much they must differ for it."""

    before: float
    after: float
    bound: float


Bucket = tuple[float, float]


class Adwin:
    """The adaptive window over numbers of about unit spread; memory grows with the logarithm of its width."""

    def __init__(self, settings: AdwinSettings) -> None:
        """Start with an empty window."""
        self.settings = settings
        self.width = 0
        self._total = 0.0
        self._scatter = 0.0
        self._ticks = 0
        # Row i holds buckets of 2**i values, the newest first: (sum, sum of squared deviations).
        self._rows: list[list[Bucket]] = [[]]

    @property
    def mean(self) -> float:
        """Mean of the window; 0 when empty."""
        return self._total / self.width if self.width else 0.0

    def update(self, x: float) -> Cut | None:
        """Take a value; return the clearest of the cuts it caused, if any."""
        self._insert(x)
        self._ticks += 1
        if self._ticks % self.settings.clock or self.width <= self.settings.grace:
            return None
        return self._shrink()

    def _insert(self, x: float) -> None:
        self._rows[0].insert(0, (x, 0.0))
        if self.width:
            self._scatter += self.width * (x - self.mean) ** 2 / (self.width + 1)
        self.width += 1
        self._total += x
        level = 0
        while len(self._rows[level]) > self.settings.max_buckets:
            if level + 1 == len(self._rows):
                self._rows.append([])
            (sum_old, scatter_old), (sum_new, scatter_new) = self._rows[level].pop(), self._rows[level].pop()
            size = 1 << level
            apart = (sum_old - sum_new) / size
            merged = scatter_old + scatter_new + size * size * apart * apart / (2 * size)
            self._rows[level + 1].insert(0, (sum_old + sum_new, merged))
            level += 1

    def _shrink(self) -> Cut | None:
        clearest: Cut | None = None
        while any(abs(cut.before - cut.after) > cut.bound for cut in self._cuts()):
            clearest = clearest or max(self._cuts(), key=lambda cut: abs(cut.before - cut.after) / cut.bound)
            self._drop_oldest()
        return clearest

    def _cuts(self) -> Iterator[Cut]:
        """Every place where the window could be cut, from the old end."""
        if self.width <= self.settings.grace:
            return
        old_count, old_sum = 0, 0.0
        spread = self._scatter / self.width
        log_term = math.log(2.0 * math.log(self.width) / self.settings.delta)
        smallest = self.settings.min_part
        for level in range(len(self._rows) - 1, -1, -1):
            size = 1 << level
            for place in range(len(self._rows[level]) - 1, -1, -1):
                old_count += size
                old_sum += self._rows[level][place][0]
                new_count = self.width - old_count
                if new_count < smallest or (level == 0 and place == 0):
                    return
                if old_count >= smallest:
                    bound = self._bound(old_count, new_count, spread, log_term)
                    yield Cut(old_sum / old_count, (self._total - old_sum) / new_count, bound)

    def _bound(self, old_count: int, new_count: int, spread: float, log_term: float) -> float:
        smallest = self.settings.min_part
        inverse = 1.0 / (old_count - smallest + 1) + 1.0 / (new_count - smallest + 1)
        return math.sqrt(2.0 * inverse * spread * log_term) + 2.0 / 3.0 * inverse * log_term

    def _drop_oldest(self) -> None:
        level = len(self._rows) - 1
        total, scatter = self._rows[level].pop()
        size = 1 << level
        self.width -= size
        self._total -= total
        if self.width:
            apart = total / size - self.mean
            self._scatter -= scatter + size * self.width * apart * apart / (size + self.width)
            self._scatter = max(self._scatter, 0.0)
        else:
            self._scatter = 0.0
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()

    def numbers(self) -> list[list[float]]:
        """The state as rows of three numbers: totals, then level, sum and scatter of each bucket."""
        head = [[float(self._ticks), self._total, self._scatter]]
        return head + [[float(i), *bucket] for i, row in enumerate(self._rows) for bucket in row]

    @classmethod
    def from_numbers(cls, settings: AdwinSettings, numbers: list[list[float]]) -> Adwin:
        """Continue from `numbers`. Raises `ValueError` when they cannot be a window."""
        made = cls(settings)
        (ticks, made._total, made._scatter), *buckets = numbers
        made._ticks = int(ticks)
        for level, total, scatter in buckets:
            if not 0 <= level < 64 or int(level) != level:
                raise ValueError(f"bucket level {level}")
            while len(made._rows) <= level:
                made._rows.append([])
            made._rows[int(level)].append((total, scatter))
            made.width += 1 << int(level)
        return made
