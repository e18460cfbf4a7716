"""What makes measurements count once although they may arrive twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processors.records import Measurement


class Watermarks:
    """The highest position seen of each partition of each inferences topic there ever was.

    The measurements of one model arrive in the order of their source partition (one idempotent producer at a time
    writes them), so whatever is not above the mark was seen before.
    """

    def __init__(self, marks: Mapping[str, list[int]] | None = None) -> None:
        self._marks = {place: (mark[0], mark[1]) for place, mark in (marks or {}).items()}

    def unseen(self, measurements: Iterable[Measurement]) -> list[Measurement]:
        """Return those that were not seen before, in order, and remember them."""
        fresh = []
        for measurement in measurements:
            position = measurement.position
            place = f"{measurement.source}/{position.partition}"
            mark = self._marks.get(place)
            if mark is None or (position.offset, position.index) > mark:
                self._marks[place] = (position.offset, position.index)
                fresh.append(measurement)
        return fresh

    def snapshot(self) -> dict[str, list[int]]:
        """Return the marks as plain JSON."""
        return {place: list(mark) for place, mark in self._marks.items()}
