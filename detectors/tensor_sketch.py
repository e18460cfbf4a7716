"""A small mergeable summary of many numbers, from which any quantile can be told: what events carry of a tensor.

As in `detectors.sketch` values are counted in logarithmic buckets (Masson, Rim and Lee, "DDSketch", PVLDB 12(12),
2019), here for a whole array at once, coarser, and as plain counts by key, so that it fits into an event. Key 0 holds
what is nearer to 0 than `SMALLEST`; bucket k of the positive values, those in (g^(k-1), g^k], has key k + `OFFSET`, of
the negative ones the negative of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.errors import BadInput

RELATIVE_ERROR: Final = 0.05
SMALLEST: Final = 1e-9
LARGEST: Final = 1e100
"""What is farther from 0 counts as this."""
MOST_VALUES: Final = 4_096
"""Of more values every n-th is taken, evenly, so that n of them stand for all."""
MOST_BUCKETS: Final = 128
"""Beyond this many the smallest magnitudes share one."""
OFFSET: Final = 1_024

_GAMMA: Final = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)

Counts = dict[int, int]


def sketch_of(values: NDArray[Any]) -> Counts:
    """Return counts by key of finite numbers; they add up to how many were looked at."""
    flat = values.reshape(-1)
    step = -(-flat.size // MOST_VALUES) if flat.size else 1
    looked_at = flat[::step].astype(np.float64)
    magnitudes = np.clip(np.abs(looked_at), SMALLEST, LARGEST)
    keys = np.ceil(np.log(magnitudes) / _LOG_GAMMA).astype(np.int64) + OFFSET
    keys = np.where(np.abs(looked_at) < SMALLEST, 0, np.sign(looked_at).astype(np.int64) * keys)
    found, counts = np.unique(keys, return_counts=True)
    return _bounded(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def merged(sketches: Iterable[Mapping[int, int]]) -> Counts:
    """Return what a sketch of all the values together would be."""
    together: Counts = {}
    for sketch in sketches:
        for key, count in sketch.items():
            together[key] = together.get(key, 0) + count
    return _bounded(together)


def quantile(sketch: Mapping[int, int], q: float) -> float | None:
    """Return the value of rank ⌊q · (count - 1)⌋, from 0, within `RELATIVE_ERROR`; None of nothing."""
    if not 0.0 <= q <= 1.0:
        raise BadInput(f"q={q!r}", "quantile", "must be from 0 to 1")
    total = sum(sketch.values())
    if not total:
        return None
    rank, below = math.floor(q * (total - 1)), 0
    for key in sorted(sketch):
        below += sketch[key]
        if below > rank:
            return _middle(key)
    raise AssertionError("counts add up")


def _middle(key: int) -> float:
    """Return the value of a bucket that is in relative terms as far from its lower as from its upper end."""
    if key == 0:
        return 0.0
    return math.copysign(2.0 * math.exp((abs(key) - OFFSET) * _LOG_GAMMA) / (_GAMMA + 1.0), key)


def _bounded(counts: Counts) -> Counts:
    if len(counts) <= MOST_BUCKETS:
        return counts
    smallest = sorted(counts, key=abs)
    shared, kept = smallest[: len(counts) - MOST_BUCKETS + 1], smallest[len(counts) - MOST_BUCKETS + 1 :]
    return {shared[-1]: sum(counts[key] for key in shared), **{key: counts[key] for key in kept}}
