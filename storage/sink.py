"""What the processors write. One insert is one atomic part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors

Columns = Mapping[str, Sequence[Any]]
"""Column name to values; all of one length."""

MOST_ROWS: Final = 100_000
"""Rows in one insert that are still one block, and so one atomic part."""


class Sink(Protocol):
    """Where rows go. Calls block; run them off the event loop.

    All methods raise `StoreUnavailable` when it is worth trying again and `StoreRefused` when it is not.
    """

    def write(self, table: str, columns: Columns) -> None:
        """Insert rows, all or none."""
        ...

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return the highest offset stored of each partition of the inferences topic with that id."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class ClickHouseSink:
    """Writes through one clickhouse-connect client, made with the first call."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def write(self, table: str, columns: Columns) -> None:
        """Insert rows, all or none. Nothing happens for no rows."""
        rows = len(next(iter(columns.values()), ()))
        if rows == 0:
            return
        if rows > MOST_ROWS:
            raise ValueError(f"{rows} rows would not be one atomic insert; the most is {MOST_ROWS}")
        with translated_errors(self._settings.url):
            self._connected().insert(
                table,
                list(columns.values()),
                column_names=list(columns),
                column_oriented=True,
                settings={"max_insert_block_size": 10 * MOST_ROWS, "async_insert": 0},
            )

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return the highest offset stored of each partition of the inferences topic with that id."""
        with translated_errors(self._settings.url):
            result = self._connected().query(
                "SELECT source_partition, max(source_offset) FROM inferences"
                " WHERE source_topic_id = {topic_id:String} GROUP BY source_partition",
                parameters={"topic_id": topic_id},
            )
        return {int(partition): int(offset) for partition, offset in result.result_rows}

    def close(self) -> None:
        """Release connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client


class MemorySink:
    """Keeps rows in lists: the sink of unit tests."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def write(self, table: str, columns: Columns) -> None:
        """Keep the rows."""
        names = list(columns)
        rows = zip(*columns.values(), strict=True)
        self.tables.setdefault(table, []).extend(dict(zip(names, row, strict=True)) for row in rows)

    def positions(self, topic_id: str) -> dict[int, int]:
        """Return the highest offset kept of each partition of the topic with that id."""
        highest: dict[int, int] = {}
        for row in self.tables.get("inferences", []):
            if row["source_topic_id"] != topic_id:
                continue
            partition = row["source_partition"]
            highest[partition] = max(highest.get(partition, -1), row["source_offset"])
        return highest

    def close(self) -> None:
        """Nothing to release."""
