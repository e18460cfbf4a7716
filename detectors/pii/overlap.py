"""What to do when findings overlap.

The rule: a higher score wins; then the longer span; then the earlier one; then the order of `ENTITY_TYPES`. A finding
that overlaps a winner is dropped as a whole. So a card number (checksum, 1.0) beats a telephone number in it (0.6).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from detectors.pii.spans import ENTITY_TYPES, Span

_RANK = {name: rank for rank, name in enumerate(ENTITY_TYPES)}


def resolve(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The winners, sorted by position."""
    best_first = sorted(spans, key=lambda s: (-s.score, s.start - s.end, s.start, _RANK[s.entity_type]))
    kept: list[Span] = []
    for span in best_first:
        place = bisect_left(kept, span.start, key=lambda winner: winner.end - 1)
        if place == len(kept) or kept[place].start >= span.end:
            kept.insert(place, span)
    return tuple(kept)
