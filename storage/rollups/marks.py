"""How far rollups go."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from storage.connection import Connection
from storage.rollups.figures import RollupName

LOCK: Final = "rebuild/"
"""What the marks that lock a day have before the name of their holder, where others have the id of a topic."""

FIRST_DAY: Final = dt.date(1970, 1, 1)
LAST_DAY: Final = dt.date(2149, 6, 6)
"""What ClickHouse's Date can be."""


class Place(NamedTuple):
    """A partition of a topic."""

    topic_id: str
    partition: int


@dataclass(frozen=True, slots=True)
class Marks:
    """How far one rollup goes for one day of arrival.

    Attributes:
        offsets: highest offset counted, by partition.
        generation: grows whenever the day is locked, made again or unlocked; odd while locked.
        holders: Unix time at which each who locked the day did so, by the name of the table it makes.
    """

    offsets: Mapping[Place, int] = field(default_factory=dict)
    generation: int = 0
    holders: Mapping[str, int] = field(default_factory=dict)

    @property
    def locked(self) -> bool:
        """A rebuild is about to put another version of the day in place; nobody may add to this one."""
        return self.generation % 2 == 1

    def token(self, day: dt.date, attempt: int) -> str:
        """Return what an insert that follows these marks, and no others, is known by."""
        state = repr((self.generation, sorted(self.holders.items()), sorted(self.offsets.items())))
        return f"{day}:{self.generation}:{hashlib.sha256(state.encode()).hexdigest()[:32]}:{attempt}"


NO_MARKS: Final = Marks()


def read_marks(
    connection: Connection, tables: Iterable[RollupName], since: dt.date = FIRST_DAY, until: dt.date = LAST_DAY
) -> dict[RollupName, dict[dt.date, Marks]]:
    """Return the marks of each table by day of arrival, [since, until]. Days without any are left out.

    Raises:
        StoreUnavailable, StoreRefused: as any statement.
    """
    names = list(tables)
    rows = connection.query(
        " UNION ALL ".join(
            f"SELECT '{name}', ingested_on, mark_topic_id, mark_partition, max(mark_offset), max(mark_generation)"  # noqa: S608 - names of our own
            f" FROM {name} WHERE environment = '' AND ingested_on >= {{since:Date}} AND ingested_on <= {{until:Date}}"
            " GROUP BY ingested_on, mark_topic_id, mark_partition"
            for name in names
        ),
        since=since,
        until=until,
    )
    of_days: dict[tuple[RollupName, dt.date], list[tuple[str, int, int, int]]] = {}
    for table, day, *mark in rows:
        of_days.setdefault((table, day), []).append((str(mark[0]), int(mark[1]), int(mark[2]), int(mark[3])))
    found: dict[RollupName, dict[dt.date, Marks]] = {name: {} for name in names}
    for (table, day), marks in of_days.items():
        found[table][day] = Marks(
            {Place(topic, partition): offset for topic, partition, offset, _ in marks if not topic.startswith(LOCK)},
            max(generation for *_, generation in marks),
            {topic.removeprefix(LOCK): since for topic, _, since, _ in marks if topic.startswith(LOCK)},
        )
    return found
