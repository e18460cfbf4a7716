"""Which rows arrived when, and the spans of them that steps count.

All of it is answered from projection `ledger` of table `inferences`: a row a partition and minute, in each part.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from storage.connection import Connection
from storage.rollups.marks import FIRST_DAY, LAST_DAY, Place

_MINUTE: Final = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Minute:
    """Rows of one partition that arrived in one minute: how many, and their lowest and highest offset."""

    start: dt.datetime
    partition: int
    first: int
    last: int
    rows: int

    def rows_behind(self, offset: int) -> int:
        """Return about how many of the rows come after an offset: each record is taken to have as many."""
        share = (self.last - max(offset, self.first - 1)) / (self.last - self.first + 1)
        return max(0, round(share * self.rows))


@dataclass(frozen=True, slots=True)
class Span:
    """Rows to count in one step: of some partitions of one topic, of one day of arrival.

    Attributes:
        since, until: they arrived in [since, until).
        offsets: by partition, the offset that they come after and the one that they go up to.
        rows: about how many there are.
    """

    day: dt.date
    topic_id: str
    since: dt.datetime
    until: dt.datetime
    offsets: Mapping[int, tuple[int, int]]
    rows: int


def stored_offsets(
    connection: Connection, since: dt.date = FIRST_DAY, until: dt.date = LAST_DAY
) -> dict[dt.date, dict[Place, int]]:
    """Return the highest offset stored of each partition, by day of arrival, oldest day first."""
    rows = connection.query(
        "SELECT toDate(ingested_at) AS day, source_topic_id, source_partition, max(source_offset) FROM inferences"
        " WHERE day >= {since:Date} AND day <= {until:Date}"
        " GROUP BY day, source_topic_id, source_partition ORDER BY day",
        since=since,
        until=until,
    )
    found: dict[dt.date, dict[Place, int]] = {}
    for day, topic_id, partition, offset in rows:
        found.setdefault(day, {})[Place(str(topic_id), int(partition))] = int(offset)
    return found


def arrivals(connection: Connection, day: dt.date, topic_id: str, counted: Mapping[int, int]) -> list[Minute]:
    """Return the minutes of a day in which rows behind `counted` (offsets by partition) arrived, in order."""
    partitions = sorted(counted)
    rows = connection.query(
        "SELECT toStartOfMinute(ingested_at) AS start, source_partition, min(source_offset), max(source_offset),"
        " count() FROM inferences WHERE toDate(ingested_at) = {day:Date} AND source_topic_id = {topic:String}"
        " GROUP BY start, source_partition HAVING max(source_offset)"
        " > transform(source_partition, {partitions:Array(UInt32)}, {offsets:Array(Int64)}, toInt64(-1))"
        " ORDER BY start",
        day=day,
        topic=topic_id,
        partitions=[*partitions, 2**32 - 1],  # an empty array has no type that `transform` accepts
        offsets=[*(counted[partition] for partition in partitions), -1],
    )
    return [
        Minute(start.astimezone(dt.UTC), int(partition), int(first), int(last), int(count))
        for start, partition, first, last, count in rows
    ]


def next_span(
    day: dt.date, topic_id: str, minutes: Sequence[Minute], counted: Mapping[int, int], most_rows: int
) -> Span | None:
    """Return the oldest rows behind `counted`, about `most_rows` at most; None where there are none.

    `minutes` are all in which rows behind `counted` arrived, or more: exactness rests on that. Rows that are stored
    later have higher offsets, whatever the clocks of their writers say, so a span never gets a row afterwards.
    """
    waiting = [minute for minute in minutes if minute.last > counted.get(minute.partition, -1)]
    if not waiting:
        return None
    uptos: dict[int, int] = {}
    rows = 0
    for _, group in itertools.groupby(waiting, key=lambda minute: minute.start):
        of_minute = list(group)
        more = sum(minute.rows_behind(counted.get(minute.partition, -1)) for minute in of_minute)
        if uptos and rows + more > most_rows:
            break
        share = min(1.0, most_rows / more) if more else 1.0
        for minute in of_minute:
            after = max(counted.get(minute.partition, -1), minute.first - 1)
            upto = after + max(1, round(share * (minute.last - after)))
            uptos[minute.partition] = max(uptos.get(minute.partition, -1), upto)
        rows += round(share * more)
        if share < 1:
            break
    touched = _touched(waiting, uptos)
    return Span(
        day,
        topic_id,
        min(minute.start for minute in touched),
        max(minute.start for minute in touched) + _MINUTE,
        {partition: (counted.get(partition, -1), upto) for partition, upto in uptos.items()},
        rows,
    )


def _touched(minutes: Iterable[Minute], uptos: Mapping[int, int]) -> list[Minute]:
    return [minute for minute in minutes if minute.first <= uptos.get(minute.partition, -1)]
