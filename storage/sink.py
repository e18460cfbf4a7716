"""What the processors write. One insert is one atomic part.

`write` is for tables in which a repeated row is the same row. `append` is for tables that have no such key: there each
insert is a compare-and-swap on the position that its rows follow, so that of any number of writers, retries and
crashes each row gets in once. For one block:

1. Insert it under a token made of the partition, the position it follows and the number of the attempt. The engine
   drops an insert whose token it has seen, whoever sent it.
2. Read back how far the partition is now. At the block's end: done.
3. Still where it was, although the insert was answered: wait for others that are under way, since a token is noted a
   moment before its rows can be read. Still there: the engine died in that moment. Only then the next attempt, with a
   token of its own; an insert that was *not* answered may still arrive under the old one.
4. Anywhere else: another writer was there first. Cut the rows that are stored, go on behind them.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import pyarrow as pa

from storage.client import StoreSettings
from storage.connection import Connection
from storage.errors import AppendStuck

Column = Sequence[Any] | np.ndarray[Any, Any]
"""Values of one column: a list, a numpy array or a pyarrow array."""

Columns = Mapping[str, Column]
"""Column name to values; all of one length."""

Table = Literal["inferences", "feedback", "server_samples", "drop_reports"]
"""Tables of which each row carries the Kafka record that it came from."""

MOST_ROWS: Final = 100_000
"""Rows in one insert that are still one block, and so one atomic part."""

# Both are answered from the small projection `ledger`, where all of their columns are.
_POSITION: Final = (
    "SELECT max(source_offset) FROM {table:Identifier} WHERE source_topic_id = {topic_id:String}"
    " AND source_partition = {partition:UInt32} AND toDate(ingested_at) >= {day:Date} HAVING count() > 0"
)
_ALL_POSITIONS: Final = (
    "SELECT source_partition, max(source_offset) FROM {table:Identifier}"
    " WHERE source_topic_id = {topic_id:String} GROUP BY source_partition"
)
# What was counted was stored, also where it was erased since.
_COUNTED_POSITIONS: Final = (
    "SELECT partition, max(position) FROM ("
    "SELECT source_partition AS partition, max(source_offset) AS position FROM inferences"
    " WHERE source_topic_id = {topic_id:String} GROUP BY partition"
    " UNION ALL SELECT mark_partition, mark_offset FROM metrics_1m"
    " WHERE environment = '' AND mark_topic_id = {topic_id:String}) GROUP BY partition"
)
_MOST_ATTEMPTS: Final = 3
_TRUSTED_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """Rows from one partition of one topic, of whole records, in their order.

    Attributes:
        after: position of the partition in the table, as `positions` or the last `append` gave it, -1 for none. Never a
            guess: that of two blocks only one gets in rests on both naming the same position.
        ingested_at: one time for all rows, since tables are partitioned by its day.
        columns: the rest of the table's columns, `source_offset` and `source_index` among them.
    """

    topic_id: str
    partition: int
    after: int
    ingested_at: dt.datetime
    columns: Columns

    @property
    def offsets(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Offset of each row's record, ascending."""
        return np.asarray(self.columns["source_offset"], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.columns["source_offset"])

    def behind(self, position: int) -> Block:
        """Return the rows that come after a position."""
        first = int(np.searchsorted(self.offsets, position, side="right"))
        columns = self.columns if first == 0 else {name: values[first:] for name, values in self.columns.items()}
        return Block(self.topic_id, self.partition, position, self.ingested_at, columns)


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of a block.

    Attributes:
        position: highest offset of the partition that is stored now.
        cut: rows of the block that were left out because the store had gone on without the block. A block that is found
            stored as a whole may count none: whether the caller sent it before, or another did, nobody can tell.
    """

    position: int
    cut: int


class Sink(Protocol):
    """Where rows go. Calls block; run them off the event loop. Several threads may call at once.

    All methods raise `StoreUnavailable` when it is worth trying again and `StoreRefused` when it is not.
    """

    def write(self, table: str, columns: Columns) -> None:
        """Insert rows, all or none; for tables in which a repeated row is the same row."""
        ...

    def append(self, table: Table, block: Block) -> Appended:
        """Insert those rows of a block that are not stored yet, all or none, each once.

        After `StoreUnavailable` the same block may be stored, or be stored any moment: call again with the same block,
        or ask `positions` on the next assignment and make another.

        Raises:
            AppendStuck: the store answers and yet keeps nothing.
            ValueError: columns of different lengths, more than `MOST_ROWS` rows, or offsets that do not ascend.
        """
        ...

    def positions(self, table: Table, topic_id: str) -> dict[int, int]:
        """Return the highest offset ever stored of each partition of the topic with that id."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class ClickHouseSink:
    """Writes through one clickhouse-connect client, made with the first call."""

    def __init__(self, settings: StoreSettings) -> None:
        self._connection = Connection(settings)
        self._confirmed: dict[tuple[str, str, int], float] = {}
        self._burnt: dict[tuple[str, str, int, int], int] = {}

    def write(self, table: str, columns: Columns) -> None:
        """Insert rows, all or none. Nothing happens for no rows."""
        rows = len(next(iter(columns.values()), ()))
        if rows == 0:
            return
        if rows > MOST_ROWS:
            raise ValueError(f"{rows} rows would not be one atomic insert; the most is {MOST_ROWS}")
        self._connection.insert(table, columns)

    def append(self, table: Table, block: Block) -> Appended:
        """Insert those rows of a block that are not stored yet, all or none, each once."""
        check(block)
        if len(block) == 0:
            return Appended(block.after, 0)
        of = (table, block.topic_id, block.partition)
        last, whole = int(block.offsets[-1]), len(block)
        # After an answer was lost, or a pause in which others may have written a lot, asking is cheaper than sending.
        trusted = time.monotonic() - self._confirmed.pop(of, 0.0) < _TRUSTED_SECONDS
        position = None if trusted else self._position(table, block)
        attempt = first = self._burnt.pop((*of, block.after), 0)
        while True:
            if position is not None and position >= last:
                self._confirmed[of] = time.monotonic()
                return Appended(position, whole - len(block))
            if position is not None and position > block.after:
                block, attempt, first = block.behind(position), 0, 0
            if attempt - first == _MOST_ATTEMPTS:
                self._burnt[(*of, block.after)] = attempt
                raise AppendStuck(table, block.topic_id, block.partition, block.after, _MOST_ATTEMPTS)
            self._try(table, block, attempt)
            position = self._position(table, block)
            if position <= block.after:
                self._connection.outwait_inserts(table)
                position = self._position(table, block)
            attempt += 1

    def positions(self, table: Table, topic_id: str) -> dict[int, int]:
        """Return the highest offset ever stored of each partition of the topic with that id."""
        statement = _COUNTED_POSITIONS if table == "inferences" else _ALL_POSITIONS
        rows = self._connection.query(statement, topic_id=topic_id, table=table)
        return {int(partition): int(offset) for partition, offset in rows}

    def close(self) -> None:
        """Release connections."""
        self._connection.close()

    def _try(self, table: Table, block: Block, attempt: int) -> None:
        rows = len(block)
        columns = {
            **block.columns,
            "source_topic_id": pa.repeat(block.topic_id, rows),
            "source_partition": pa.repeat(pa.scalar(block.partition, pa.uint32()), rows),
            "ingested_at": pa.repeat(pa.scalar(block.ingested_at, pa.timestamp("ms", "UTC")), rows),
        }
        if not isinstance(block.columns["source_offset"], pa.Array):
            columns = {name: listed(values) for name, values in columns.items()}
        self._connection.insert(table, columns, f"{block.topic_id}:{block.partition}:{block.after}:{attempt}")

    def _position(self, table: Table, block: Block) -> int:
        """Return the highest offset stored of a block's partition, looking as far back as the block makes sensible."""
        day = block.ingested_at.astimezone(dt.UTC).date() - dt.timedelta(days=1)
        where = {"table": table, "topic_id": block.topic_id, "partition": block.partition, "day": day}
        rows = self._connection.query(_POSITION, **where)
        return int(rows[0][0]) if rows else -1


def listed(values: Column) -> Column:
    """Return a column without Arrow."""
    return values.to_pylist() if isinstance(values, pa.Array) else values


def check(block: Block) -> None:
    """Refuse what would not be one atomic insert of whole records behind a position.

    Raises:
        ValueError: what is wrong with the block.
    """
    rows = len(block)
    if rows > MOST_ROWS:
        raise ValueError(f"{rows} rows would not be one atomic insert; the most is {MOST_ROWS}")
    odd = sorted(name for name, values in block.columns.items() if len(values) != rows)
    if odd:
        raise ValueError(f"columns {odd} have other lengths than source_offset, which has {rows}")
    offsets = block.offsets
    if rows and (offsets[0] <= block.after or np.any(offsets[1:] < offsets[:-1])):
        raise ValueError(f"offsets must ascend and come after {block.after}")
