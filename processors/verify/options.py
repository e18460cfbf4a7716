"""What a verification looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LATE_SECONDS: Final = 300.0
"""A roller makes a step about once a second; rows that it has not seen for this long are not merely behind."""

Say = Callable[[str], None]
"""Is told about the progress."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to look at.

    Attributes:
        since: only records and hours of events from then on, in Unix seconds.
        until: only those before.
        most: how many places that differ are listed.
        group: the consumer group of the enrich workers.
        late_seconds: rows that wait for a rollup longer than this are a difference.
    """

    since: float | None = None
    until: float | None = None
    most: int = 20
    group: str = "inferwatch-enrich"
    late_seconds: float = LATE_SECONDS
