"""The confirming test: could the window be a random part of reference and window together?"""

from __future__ import annotations

import numpy as np

from detectors.mmd.features import Features


def permutation_p_value(reference: Features, window: Features, permutations: int, rng: np.random.Generator) -> float:
    """P-value of the squared MMD between `reference` [N, D] and `window` [W, D] under exchange of their rows.

    Exact for whatever `permutations` is: (1 + as large) / (1 + permutations), after B. Phipson and G. Smyth,
    "Permutation p-values should never be zero", 2010. Of the permuted statistic, only the norm of the window's sum,
    centred on the pooled mean, varies.
    """
    pooled = np.concatenate([reference, window]).astype(np.float32)
    pooled -= pooled.mean(axis=0)
    size = len(window)
    picks = np.zeros((permutations + 1, len(pooled)), np.float32)
    picks[0, -size:] = 1.0
    order = np.argpartition(rng.random((permutations, len(pooled)), dtype=np.float32), size, axis=1)[:, :size]
    np.put_along_axis(picks[1:], order, 1.0, axis=1)
    sums = (picks @ pooled).astype(np.float64)
    norms = np.einsum("ij,ij->i", sums, sums)
    as_large = int(np.count_nonzero(norms[1:] >= norms[0] * (1.0 - 1e-6)))
    return (1 + as_large) / (1 + permutations)
