"""What events carry of a tensor: moments, and a small mergeable sketch from which any quantile can be told.

Values are counted in logarithmic buckets (Masson, Rim and Lee, "DDSketch", PVLDB 12(12), 2019), a whole array at once.
Key 0 holds what is nearer to 0 than `SMALLEST`; bucket k of the positive values, those in (g^(k-1), g^k], has key
k + `OFFSET`, of the negative ones the negative of that.

numpy is imported where it is needed: an application without it has no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inferwatch.events import InferenceEvent, TensorSummary

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class TensorSample:
    """A tensor on its way out of the process: a few of its values, from which the background thread makes a summary."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any]

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return int(self.values.nbytes)


def sample(values: NDArray[Any]) -> NDArray[Any]:
    """Return at most `MOST_VALUES` values, flat and evenly spaced, as an array of their own: the rest may be freed."""
    flat = values.reshape(-1)
    step = -(-flat.size // MOST_VALUES) or 1
    return flat[::step].copy()


def summarise(name: str, datatype: str, shape: tuple[int, ...], values: NDArray[Any] | None) -> TensorSummary:
    """Return shape, moments and a sketch, of finite values; `deviation` is that of the population.

    A single number has none: they would be the number itself, which is content. None: the values are not available.
    """
    import numpy as np

    known = TensorSummary(name=name, datatype=datatype, shape=shape, count=math.prod(shape))
    if values is None or values.size <= 1 or known.count == 1:
        return known
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    nan_share = float(np.isnan(numbers).mean())
    if finite.size == 0:
        return msgspec.structs.replace(known, nan_share=nan_share)
    return msgspec.structs.replace(
        known,
        mean=float(finite.mean()),
        deviation=float(finite.std()),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        nan_share=nan_share,
        sketch=sketch_of(finite),
    )


def with_summaries(event: InferenceEvent) -> InferenceEvent:
    """Return an event whose samples of tensors are summaries; the same object where it has none."""
    tensors = (event.input_tensors, event.output_tensors)
    if not any(isinstance(one, TensorSample) for side in tensors for one in side):
        return event
    given, made = (tuple(_summary(one) for one in side) for side in tensors)
    return msgspec.structs.replace(event, input_tensors=given, output_tensors=made)


def _summary(one: object) -> TensorSummary:
    if isinstance(one, TensorSample):
        return summarise(one.name, one.datatype, one.shape, one.values)
    assert isinstance(one, TensorSummary)
    return one


def sketch_of(values: NDArray[Any]) -> Counts:
    """Return counts by key of finite numbers; they add up to how many were looked at, see `sample`."""
    import numpy as np

    looked_at = sample(values).astype(np.float64)
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
    """Return the value of rank ⌊q · (count - 1)⌋, from 0, within `RELATIVE_ERROR`; None of nothing.

    Raises:
        ValueError: `q` is not from 0 to 1.
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q is {q!r}; a quantile is from 0 to 1")
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
