"""Random Fourier features of the Gaussian kernel, in fixed point.

The squared distance of two mean feature vectors approximates the squared maximum mean discrepancy (MMD) of the two
samples: A. Rahimi and B. Recht, "Random features for large-scale kernel machines", NeurIPS 2007; A. Gretton et al.,
"A kernel two-sample test", JMLR 13, 2012.

Features are kept as 16-bit fixed point. Sums over a sliding window are then exact whole numbers: nothing drifts away
over months of adding and subtracting, and a restored window has the very sums of the one that was saved.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.protocols import Vectors

Features: TypeAlias = NDArray[np.int16]
SCALE = 1 << 14


class FourierFeatures:
    """The map x → [cos(Wx), sin(Wx)], with W drawn for a Gaussian kernel of the given bandwidth."""

    def __init__(self, dimensions: int, features: int, bandwidth: float, seed: int) -> None:
        """Map float32 [n, dimensions] to int16 [n, features]; `features` is even."""
        # RandomState, for its stream is promised never to change: a snapshot holds the seed, not the matrix.
        draws = np.random.RandomState(seed).standard_normal((dimensions, features // 2))
        self._frequencies = (draws / bandwidth).astype(np.float32)

    def __call__(self, batch: Vectors) -> Features:
        """Features of each row, times `SCALE`."""
        angles = batch @ self._frequencies
        both = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        fixed: Features = np.rint(both * SCALE).astype(np.int16)
        return fixed


def unscale(squared_distance: NDArray[np.float64], features: int) -> NDArray[np.float64]:
    """Squared distance of fixed-point mean features → squared MMD, between 0 and 2."""
    return squared_distance * (2.0 / features / SCALE**2)


def median_bandwidth(sample: Vectors) -> float:
    """Median distance between different rows of `sample` [n, d] (Gretton et al. 2012, section 8)."""
    wide = sample.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    distances = squares[:, None] + squares[None, :] - 2.0 * (wide @ wide.T)
    upper = distances[np.triu_indices(len(wide), 1)]
    apart = upper[upper > 1e-9 * max(float(squares.max(initial=0.0)), 1e-300)]
    if apart.size:
        return float(np.sqrt(np.median(apart)))
    # All rows are the same: any scale will do, as long as a different row lands elsewhere.
    return float(np.sqrt(squares.max(initial=0.0))) or 1.0
