"""Step 5: figures that follow from the times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def time_per_output_token(duration: Floats, time_to_first_token: Floats, output_tokens: Floats) -> Floats:
    """Return seconds a token after the first, (duration - time to first token) / (output tokens - 1).

    All are arrays of one length, NaN where unknown; so is the result where the response was not streamed or had fewer
    than two tokens. Never rounded.
    """
    after_the_first = np.where(output_tokens >= 2, output_tokens - 1, np.nan)
    return np.asarray(np.maximum(duration - time_to_first_token, 0.0) / after_the_first)
