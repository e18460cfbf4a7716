"""What makes measurements count once although they may arrive twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processors.records import Measurement, Position


class Watermarks:
    """The highest position seen of each partition of the inferences topic.

    The measurements of one model arrive in the order of their source partition (one idempotent producer at a time
    writes them), so whatever is not above the mark was seen before.
    """

    def __init__(self, marks: Mapping[str, list[int]] | None = None) -> None:
        self._marks = {int(partition): Position(int(partition), *mark) for partition, mark in (marks or {}).items()}

    def unseen(self, measurements: Iterable[Measurement]) -> list[Measurement]:
        """Return those that were not seen before, in order, and remember them."""
        fresh = []
        for measurement in measurements:
            position = measurement.position
            mark = self._marks.get(position.partition)
            if mark is None or position > mark:
                self._marks[position.partition] = position
                fresh.append(measurement)
        return fresh

    def snapshot(self) -> dict[str, list[int]]:
        """Return the marks as plain JSON."""
        return {str(partition): [mark.offset, mark.index] for partition, mark in self._marks.items()}
