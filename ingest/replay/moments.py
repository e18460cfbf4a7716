"""Times that a trace can have. One that it cannot have would let all others wait for decades."""

from __future__ import annotations

from typing import Final

from ingest.replay.errors import BadLineError

EARLIEST: Final = 946_684_800.0
"""Unix seconds of the beginning of 2000."""
LATEST: Final = 4_102_444_800.0
"""Unix seconds of the beginning of 2100."""


def moment(seconds: float, line: int, name: str) -> float:
    """Return a time in Unix seconds as it is.

    Raises:
        BadLineError: it is not a number between `EARLIEST` and `LATEST`.
    """
    if not EARLIEST <= seconds <= LATEST:
        raise BadLineError(line, f"{name} not between 2000 and 2100")
    return seconds
