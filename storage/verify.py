"""What the store holds, counted so that it can be compared with where it came from: rows by ranges of offsets."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors

PLACE_HASH: Final = "cityHash64(source_topic_id, source_partition, source_offset, source_index)"
"""The hash of where a row came from; its sums are the column `fingerprint` of rollups."""

_RANGES: Final = 4_000
_SECONDS: Final = 600.0
_BYTES_IN_MEMORY: Final = 400 << 20


@dataclass(frozen=True, slots=True)
class RowSum:
    """How many rows, and the sum modulo 2**64 of the hashes of where they came from."""

    rows: int = 0
    fingerprint: int = 0


@dataclass(frozen=True, slots=True)
class RepeatedEvent:
    """An event id of which there are several rows."""

    event_id: str
    rows: int
    places: tuple[tuple[int, int, int], ...]


class Ledger:
    """Counts rows of one topic. All methods block and raise `StoreUnavailable` or `StoreRefused`."""

    def __init__(self, settings: StoreSettings) -> None:
        """Ask the store at `settings`, and wait long for answers: they come from whole tables."""
        self._url = settings.url
        with translated_errors(settings.url):
            self.client: Client = connect(replace(settings, query_seconds=max(settings.query_seconds, _SECONDS)))

    def close(self) -> None:
        """Release connections."""
        self.client.close()

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return the highest offset stored of each partition."""
        rows = self.query(
            "SELECT source_partition, max(source_offset) FROM inferences"
            " WHERE source_topic_id = {topic:String} GROUP BY source_partition",
            topic=topic_id,
        )
        return {int(partition): int(offset) for partition, offset in rows}

    def prefixes(self, topic_id: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return `cityHash64(topic id, partition)` of each partition."""
        rows = self.query(
            "SELECT partition, cityHash64({topic:String}, toUInt32(partition))"
            " FROM (SELECT arrayJoin({partitions:Array(UInt32)}) AS partition)",
            topic=topic_id,
            partitions=list(partitions),
        )
        return {int(partition): int(hashed) for partition, hashed in rows}

    def sums(self, topic_id: str, partition: int, starts: Sequence[int], end: int) -> dict[int, RowSum]:
        """Return what stands in each range of one partition; ranges without rows are left out.

        Ranges begin at `starts`, ascending; the last one ends at `end`.
        """
        found: dict[int, RowSum] = {}
        for place in range(0, len(starts), _RANGES):
            part = starts[place : place + _RANGES]
            last = starts[place + _RANGES] if place + _RANGES < len(starts) else end
            # Thousands of numbers do not fit the address that bound values travel in.
            bounds = ",".join(map(str, part))
            rows = self.query(
                f"SELECT roundDown(source_offset, [{bounds}]::Array(UInt64)) AS start, count(), sum({PLACE_HASH})"  # noqa: S608 - numbers of our own
                " FROM inferences WHERE source_topic_id = {topic:String} AND source_partition = {partition:UInt32}"
                " AND source_offset >= {first:UInt64} AND source_offset < {last:UInt64} GROUP BY start",
                topic=topic_id,
                partition=partition,
                first=part[0],
                last=last,
            )
            found.update({int(start): RowSum(int(count), int(total)) for start, count, total in rows})
        return found

    def places(self, topic_id: str, partition: int, first: int, end: int) -> dict[tuple[int, int], int]:
        """Return how many rows each (offset, line) from `first` up to and without `end` has."""
        rows = self.query(
            "SELECT source_offset, source_index, count() FROM inferences WHERE source_topic_id = {topic:String}"
            " AND source_partition = {partition:UInt32} AND source_offset >= {first:UInt64}"
            " AND source_offset < {end:UInt64} GROUP BY source_offset, source_index",
            topic=topic_id,
            partition=partition,
            first=first,
            end=end,
        )
        return {(int(offset), int(index)): int(times) for offset, index, times in rows}

    def not_in(self, topic_id: str, lows: Mapping[int, int]) -> dict[int, int]:
        """Return how many rows of each partition lie below the offsets `lows`; -1 counts rows of other topics."""
        rows = self.query(
            "SELECT if(source_topic_id = {topic:String}, toInt64(source_partition), -1) AS of, count()"
            " FROM inferences WHERE source_topic_id != {topic:String}"
            " OR source_offset < transform(source_partition, {partitions:Array(UInt32)}, {lows:Array(UInt64)},"
            " toUInt64(0)) GROUP BY of",
            topic=topic_id,
            partitions=list(lows),
            lows=list(lows.values()),
        )
        return {int(partition): int(count) for partition, count in rows}

    def repeated_events(self, since: dt.datetime | None, most: int) -> tuple[int, list[RepeatedEvent]]:
        """Return how many event ids have several rows that arrived since, and up to `most` of them."""
        rows = self.query(
            "SELECT toString(event_id), count() AS rows,"
            " groupArray(5)((source_partition, source_offset, source_index)), count() OVER () AS ids"
            " FROM inferences WHERE ingested_at >= {since:DateTime64(3, 'UTC')} GROUP BY event_id HAVING rows > 1"
            " ORDER BY event_id LIMIT {most:UInt32} SETTINGS max_bytes_before_external_group_by = {memory:UInt64}",
            memory=_BYTES_IN_MEMORY,
            since=since or dt.datetime.fromtimestamp(0, dt.UTC),
            most=most,
        )
        named = [RepeatedEvent(str(row[0]), int(row[1]), tuple(map(tuple, row[2]))) for row in rows]
        return (int(rows[0][3]) if rows else 0), named

    def days_kept(self, table: str) -> int | None:
        """Return after how many days a table forgets rows, or None where it keeps them."""
        rows = self.query(
            "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
            table=table,
        )
        found = re.search(r"\bTTL\b.*?(?:toIntervalDay\(|INTERVAL )(\d+)", str(rows[0][0])) if rows else None
        return int(found.group(1)) if found else None

    def query(self, statement: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement."""
        with translated_errors(self._url):
            return self.client.query(statement, parameters=parameters).result_rows


@contextmanager
def opened_ledger(settings: StoreSettings) -> Iterator[Ledger]:
    """A ledger that is closed at the end. Raises `StoreUnavailable` or `StoreRefused`."""
    ledger = Ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close()
