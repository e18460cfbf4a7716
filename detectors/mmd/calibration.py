"""The threshold at which false alarms come as seldom as promised.

After O. Cobb, A. Van Looveren and J. Klaise, "Sequential multivariate change detection with calibrated and memoryless
false detection rates", AISTATS 2022: simulate the running statistic on streams without a change, drawn from the
reference itself, and take the threshold from the simulated run lengths. Two things differ from their procedure:

* Each simulated stream has a reference of its own, resampled at the full size N. The reference's sampling error, which
  all later windows share, is then part of the simulation, and no data have to be held out. Feature vectors are centred
  and stretched by √(N / (N - 1)), which corrects the spread of a resampled world.
* The threshold is read off the maxima of blocks of events. Without a change P(no alarm within L events) =
  exp(-L / expected run length), the memoryless law, so the threshold is that quantile of the maxima. It needs tens of
  blocks rather than thousands of separate runs, and beyond what the blocks can show, the Gumbel law of maxima goes on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.mmd.features import SCALE, Features

_EULER = 0.5772156649015329
_CELLS = 1 << 22


def calibrate(
    reference: Features, window: int, expected_run_length: int, rng: np.random.Generator, events: int = 100_000
) -> float:
    """Threshold for the squared MMD of a sliding window of `window` events against `reference` [N, D].

    Args:
        reference: fixed-point features.
        window: events in the window.
        expected_run_length: events between false alarms, on average.
        rng: where the randomness comes from.
        events: how many events to simulate in all; more is slower and steadier.
    """
    rows = _principal_rows(reference)
    block = min(expected_run_length, 1000)
    blocks = max(events // block, 100)
    maxima = np.concatenate(
        [_block_maxima(rows, window, block, size, rng) for size in _chunks(blocks, block + window, rows.shape[1])]
    )
    survival = math.exp(-block / expected_run_length)
    return max(_quantile(maxima, survival), 1e-9)


def _principal_rows(reference: Features) -> NDArray[np.float32]:
    """Centred reference in its own principal axes: same distances in fewer columns, so that simulation is cheap."""
    n, features = reference.shape
    centred = reference.astype(np.float64) / SCALE * math.sqrt(2.0 / features)
    centred -= centred.mean(axis=0)
    centred *= math.sqrt(n / max(n - 1, 1))
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    energy = np.cumsum(sizes**2)
    keep = int(np.searchsorted(energy, energy[-1] * 0.999)) + 1
    rows: NDArray[np.float32] = (left[:, :keep] * sizes[:keep]).astype(np.float32)
    return rows


def _chunks(blocks: int, length: int, columns: int) -> list[int]:
    size = max(1, _CELLS // (length * columns))
    return [min(size, blocks - start) for start in range(0, blocks, size)]


def _block_maxima(
    rows: NDArray[np.float32], window: int, block: int, blocks: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    n = len(rows)
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=blocks)
    means = (counts.astype(np.float32) @ rows) / n
    stream = rows[rng.integers(n, size=(blocks, block + window - 1))]
    sums = np.cumsum(stream, axis=1, dtype=np.float64)
    sums[:, window:] -= sums[:, :-window].copy()
    apart = sums[:, window - 1 :] / window - means[:, None, :]
    maxima: NDArray[np.float64] = np.einsum("bti,bti->bt", apart, apart).max(axis=1)
    return maxima


def _quantile(maxima: NDArray[np.float64], level: float) -> float:
    """Quantile of the block maxima: by counting where enough blocks lie above it, by the Gumbel law where not."""
    if (1.0 - level) * len(maxima) >= 15:
        return float(np.quantile(maxima, level))
    ordered = np.sort(maxima)
    ranks = np.arange(len(ordered)) / max(len(ordered) - 1, 1)
    spread = float(2.0 * np.mean(ranks * ordered) - ordered.mean()) / math.log(2.0)
    return float(ordered.mean()) - _EULER * spread - spread * math.log(-math.log(level))
