"""Sliding windows of features and their distances from the reference, a whole batch at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.mmd.features import Features, unscale


class MeanWindows:
    """The last feature rows, and for each size W the squared MMD of the mean of the last W from the reference's."""

    def __init__(self, reference: Features, sizes: tuple[int, ...]) -> None:
        """Start empty; `reference` is int16 [N, D], `sizes` ascend."""
        self._target = reference.mean(axis=0, dtype=np.float64)
        self._sizes = sizes
        self.rows: Features = np.empty((0, reference.shape[1]), np.int16)

    def fill(self, rows: Features) -> None:
        """Put back the rows of a snapshot."""
        self.rows = rows[-self._sizes[-1] :]

    def extend(self, features: Features) -> NDArray[np.float64]:
        """Slide over int16 [n, D]; the squared MMD at each event, float64 [n, sizes], 0 where a window is not full."""
        both = np.concatenate([self.rows, features])
        self.rows = both[-self._sizes[-1] :].copy()
        sums = np.concatenate([np.zeros((1, both.shape[1]), np.int64), np.cumsum(both, axis=0, dtype=np.int64)])
        found = np.zeros((len(features), len(self._sizes)))
        for column, size in enumerate(self._sizes):
            first = max(size, len(both) - len(features) + 1)
            if first < len(sums):
                apart = (sums[first:] - sums[first - size : -size]) / size - self._target
                squares = unscale(np.einsum("ij,ij->i", apart, apart), both.shape[1])
                found[len(features) - len(squares) :, column] = squares
        return found
