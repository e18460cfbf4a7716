"""What the demo did, by its own clock: the other side of the comparison with what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.demo.planted import Planted


@dataclass(frozen=True, slots=True)
class Entry:
    """One inference as its client saw it. Unix time and seconds; `event_id` is "" where none was given."""

    event_id: str
    source: str
    streamed: bool
    began_at: float
    ended_at: float
    duration: float
    time_to_first_token: float | None
    time_per_output_token: float | None
    failed: bool
    planted: Sequence[Planted] = ()


@dataclass(slots=True)
class Ledger:
    """Every inference, and when each incident began."""

    entries: list[Entry] = field(default_factory=list)
    incidents: dict[str, float] = field(default_factory=dict)

    def planted(self) -> list[Planted]:
        """Return every value that was planted."""
        return [planted for entry in self.entries for planted in entry.planted]

    def sources(self) -> list[str]:
        """Return the sources that were used, sorted."""
        return sorted({entry.source for entry in self.entries})
