"""Step 5: figures that follow from the times."""

from __future__ import annotations


def time_per_output_token(
    duration: float, time_to_first_token: float | None, output_tokens: int | None
) -> float | None:
    """Return seconds a token after the first, (duration - time to first token) / (output tokens - 1).

    None where the response was not streamed or had fewer than two tokens. Never rounded.
    """
    if time_to_first_token is None or output_tokens is None or output_tokens < 2:
        return None
    return max(duration - time_to_first_token, 0.0) / (output_tokens - 1)
