"""Statements to the store over one client, and inserts of which the engine keeps one with a token.

The engine knows an insert by its token *and* by how many chunks it arrived in, so a token names an insert only where
every insert is one chunk: columns are sent as one block, and an `INSERT … SELECT` ends in one array.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors
from storage.errors import StoreUnavailable

_ONE_PART: Final = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_insert_block_size": 100_000_000,
    "min_insert_block_size_rows": 100_000_000,
    "min_insert_block_size_bytes": 0,
}
_MOST_GROUPS: Final = 1_000_000
_RUNNING: Final = (
    "SELECT query_id FROM system.processes WHERE query_kind = 'Insert'"
    " AND current_database = currentDatabase() AND position(query, {table:String}) > 0"
)
_PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


class Connection:
    """One client, made with the first statement; several threads may use it.

    Its statements raise `StoreUnavailable` and `StoreRefused`.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._types: dict[tuple[str, ...], Sequence[ClickHouseType]] = {}

    def query(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a SELECT."""
        with translated_errors(self._settings.url):
            return self._connected().query(sql, parameters=parameters).result_rows

    def command(self, sql: str, **parameters: Any) -> None:
        """Run a statement that returns nothing."""
        with translated_errors(self._settings.url):
            self._connected().command(sql, parameters)

    def insert(self, table: str, columns: Mapping[str, Any], token: str | None = None) -> None:
        """Insert columns as one chunk, and so as one part where all rows are of one partition of the table.

        The engine drops an insert whose token it has seen. Columns of Arrow travel as they are, which costs a fraction
        of what turning objects into the engine's own format does; one among the columns makes all of them such.
        """
        if any(isinstance(values, pa.Array) for values in columns.values()):
            with translated_errors(self._settings.url):
                self._connected().insert_arrow(table, pa.table(dict(columns)), settings=_settings(token))
            return
        data: list[Any] = [*columns.values()]
        named = (table, *columns)
        with translated_errors(self._settings.url):
            client = self._connected()
            context = client.create_insert_context(
                table,
                column_names=list(columns),
                column_types=self._types.get(named),
                column_oriented=True,
                settings=_settings(token),
            )
            self._types[named] = context.column_types
            context.req_block_size = len(data[0])
            client.insert(context=context, data=data)

    def insert_select(self, sql: str, token: str, parameters: Mapping[str, Any]) -> None:
        """Run an `INSERT … SELECT` that gives one chunk; the engine drops it where it has seen its token."""
        # More threads would spend more on handing over than they save on a second's rows.
        settings = {**_settings(token), "max_threads": 1, "max_block_size": _MOST_GROUPS}
        with translated_errors(self._settings.url):
            self._connected().command(sql, {**parameters}, settings=settings)

    def outwait_inserts(self, table: str) -> None:
        """Return when all inserts into a table that run now have ended, well or badly.

        An insert's token is noted a moment before its rows can be read. So an insert that was dropped, with nothing to
        be read in its place, may have lost to one that is about to be there; only afterwards it is sure that it lost to
        one whose rows were lost, in a crash.

        Raises:
            StoreUnavailable: one runs on for long; ask again later.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        waited_for = self._running(table)
        while waited_for:
            if time.monotonic() > deadline:
                raise StoreUnavailable(self._settings.url, f"an insert into {table} is still under way")
            time.sleep(_POLL_SECONDS)
            waited_for &= self._running(table)

    def close(self) -> None:
        """Release connections."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _running(self, table: str) -> set[str]:
        return {str(query_id) for (query_id,) in self.query(_RUNNING, table=table)}

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                self._client = connect(self._settings)
            return self._client


def _settings(token: str | None) -> dict[str, Any]:
    return dict(_ONE_PART) if token is None else {**_ONE_PART, "insert_deduplication_token": token}
