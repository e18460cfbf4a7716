"""What was looked at and what was found there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """One place: how much was looked at (`unit`: rows, records, files …) and how much of it is of the subject."""

    place: str
    looked_at: int
    unit: str
    found: int
    note: str = ""


def total(places: Iterable[Found]) -> int:
    """Return how much was found in all places together."""
    return sum(place.found for place in places)
