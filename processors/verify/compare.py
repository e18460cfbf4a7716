"""Ranges of Kafka against ranges of rows: what agrees, and exactly what does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from processors.verify.count import Range
from processors.verify.fingerprint import MODULUS

Place = tuple[int, int]
"""Offset and line of an event."""

Kind = Literal["no row", "more than one row", "row of nothing", "dead letter and row"]


@dataclass(frozen=True, slots=True)
class ComparedRange:
    """A range with what the dead-letter topic and the store hold of it."""

    range: Range
    dead: int
    dead_fingerprint: int
    rows: int
    rows_fingerprint: int

    @property
    def agrees(self) -> bool:
        """Tell whether rows and dead letters are exactly the events. What Kafka forgot is not judged."""
        expected = (self.range.fingerprint - self.dead_fingerprint) % MODULUS
        same = self.rows == self.range.events - self.dead and self.rows_fingerprint == expected
        return self.range.records is None or same


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring places of one partition that are wrong in the same way, the last one included.

    A dead letter that is also a row is not wrong: an event that came too early was set apart, came again after a
    crash, and fitted by then.
    """

    kind: Kind
    partition: int
    first: Place
    last: Place
    events: int

    @property
    def wrong(self) -> bool:
        """Tell whether this is a difference."""
        return self.kind != "dead letter and row"


def runs(partition: int, kafka: Iterable[Place], dead: Set[Place], rows: Mapping[Place, int]) -> Iterator[Run]:
    """Yield what does not agree, in the order of offsets.

    Args:
        partition: of all of them.
        kafka: places of events, ascending.
        dead: those that are dead letters.
        rows: how many rows each place has.
    """
    held = list(kafka)
    known = set(held)
    current: Run | None = None
    for place in sorted([*held, *(place for place in rows if place not in known)]):
        kind = _kind(place, place in known, place in dead, rows.get(place, 0))
        if current is not None and kind == current.kind:
            current = Run(kind, partition, current.first, place, current.events + 1)
            continue
        if current is not None:
            yield current
        current = None if kind is None else Run(kind, partition, place, place, 1)
    if current is not None:
        yield current


def _kind(place: Place, in_kafka: bool, is_dead: bool, rows: int) -> Kind | None:
    if not in_kafka:
        return "row of nothing"
    if rows > 1:
        return "more than one row"
    if is_dead:
        return "dead letter and row" if rows else None
    return None if rows else "no row"
