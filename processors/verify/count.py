"""What Kafka holds, as counts and fingerprints of ranges of offsets: memory grows with ranges, not with events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from inferwatch.wire import split_record
from processors.enrich.decode import MOST_EVENTS
from processors.verify.fingerprint import fingerprint

RANGE_EVENTS: Final = 16_384
"""Events after which a range ends: where two differ, this many are looked at one by one."""

RANGES_BY_HOUR: Final = 20_000
"""Ranges of a partition that may be cut by the hour alone. Where clocks of producers disagree, hours come and go."""

FEWEST_RECORDS: Final = 1_024
"""Records of a range, once there are that many ranges, before the hour may cut it again."""

HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets `first` up to and without `end` of a partition, and what Kafka holds there.

    `hour` is the Unix time at which the hour of its first record begins; None where records have no time. `records`
    is None where retention removed what was there before it could be read.
    """

    partition: int
    first: int
    end: int
    hour: int | None
    records: int | None
    events: int
    fingerprint: int


def lines_of(value: bytes | None) -> list[int]:
    """Return the line numbers that a record's events and dead letters have, as the enrich step counts them."""
    if not value or not value.strip() or value.count(b"\n") >= MOST_EVENTS:
        return [0]
    return [index for index, _ in split_record(value)]


class RangeCounter:
    """Counts the records of one partition, in their order, into ranges without a gap in between."""

    def __init__(self, partition: int, first: int, prefix: int) -> None:
        """Begin at offset `first`; `prefix` is as in `fingerprint`."""
        self.ranges: list[Range] = []
        self.records = 0
        self._partition = partition
        self._prefix = prefix
        self._first = first
        self._hour: int | None = None
        self._offsets: list[int] = []
        self._counts: list[int] = []
        self._lines: list[int] = []

    def add(self, offset: int, at: float | None, value: bytes | None) -> None:
        """Count the record at `offset`, made at `at` in Unix seconds."""
        hour = None if at is None else int(at) // HOUR * HOUR
        if self._offsets and self._ends_before(hour):
            self._cut(offset)
        if not self._offsets:
            self._hour = hour
        lines = lines_of(value)
        self._offsets.append(offset)
        self._counts.append(len(lines))
        self._lines += lines
        self.records += 1

    def removed(self, first: int, end: int) -> None:
        """Leave out offsets that nobody can read any more."""
        self._cut(first)
        self.ranges.append(Range(self._partition, first, end, self._hour, None, 0, 0))
        self._first = end

    def finished(self, end: int) -> list[Range]:
        """Return all ranges; the last one ends at `end`."""
        self._cut(end)
        return self.ranges

    def _ends_before(self, hour: int | None) -> bool:
        if len(self._lines) >= RANGE_EVENTS:
            return True
        crowded = len(self.ranges) >= RANGES_BY_HOUR and len(self._offsets) < FEWEST_RECORDS
        return hour != self._hour and not crowded

    def _cut(self, end: int) -> None:
        if end <= self._first:
            return
        offsets = np.repeat(np.array(self._offsets, np.uint64), np.array(self._counts, np.intp))
        total = fingerprint(self._prefix, offsets, np.array(self._lines, np.uint64))
        self.ranges.append(
            Range(self._partition, self._first, end, self._hour, len(self._offsets), len(self._lines), total)
        )
        self._first = end
        self._offsets, self._counts, self._lines = [], [], []
