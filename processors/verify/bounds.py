"""From where to where each partition is compared, fixed before anything is counted: the system goes on meanwhile.

Asked in this order, so that nothing counts as lost that only came later:

1. How far rows go, and how far the enrich workers committed: all before that was processed.
2. Where the topic begins and ends.
3. The dead letters, up to their end by now: those of everything processed are there, since workers send them first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processors.topic_reader import Span


@dataclass(frozen=True, slots=True)
class Bounds:
    """Offsets of one partition. Each end is the first offset that is not in it.

    Attributes:
        partition: the partition.
        low: first offset that Kafka still has.
        first: where comparing begins.
        end: where it ends.
        high: where the topic ends.
        waiting: records that are not processed yet.
    """

    partition: int
    low: int
    first: int
    end: int
    high: int
    waiting: int


def bounds_of(
    whole: Sequence[Span],
    stored: Mapping[int, int],
    committed: Mapping[int, int],
    begins: Mapping[int, int] | None = None,
    ends: Mapping[int, int] | None = None,
) -> list[Bounds]:
    """Return the bounds of each partition.

    Args:
        whole: what Kafka has of each.
        stored: highest offset of each that has a row.
        committed: where the workers would go on.
        begins: the first offset wanted of each, where only a time is looked at; a partition left out has none wanted.
        ends: the first offset of each that is not wanted any more; a partition left out is wanted to its end.
    """
    found = []
    for span in whole:
        # Rows beyond the end of the topic were made of something else: they are compared, with nothing.
        processed = max(stored.get(span.partition, -1) + 1, min(committed.get(span.partition, 0), span.end))
        waiting = max(0, span.end - max(processed, span.first))
        first = span.first if begins is None else max(span.first, begins.get(span.partition, span.end))
        end = processed if ends is None else min(processed, ends.get(span.partition, processed))
        found.append(Bounds(span.partition, span.first, first, max(first, end), span.end, waiting))
    return found
