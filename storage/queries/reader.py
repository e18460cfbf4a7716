"""Runs statements and hands back rows by column name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors
from storage.queries.text import SETTINGS
from storage.queries.tiles import Kept

LONGEST_SECONDS: Final = 20.0
"""A question that takes longer is given up: the next refresh would pile up behind it."""

_SURELY_KEPT: Final = timedelta(hours=20)
"""Retention is at least a day, and is exact to the hour."""
_DAYS_KEPT: Final = (
    "SELECT name, extract(create_table_query, 'TTL bucket \\\\+ toIntervalDay\\\\((\\\\d+)\\\\)') AS days"
    " FROM system.tables WHERE database = currentDatabase() AND name IN ('metrics_1m', 'metrics_1h')"
)


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reader:
    """A client that threads may share, the address to name when it does not answer, and a clock."""

    client: Client
    url: str
    now: Callable[[], datetime] = utc_now

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all rows of a statement, its `{name:Type}` places bound to `parameters`."""
        settings = {name: value for name, value in SETTINGS.items() if name in self.client.server_settings}
        with translated_errors(self.url):
            result = self.client.query(statement, parameters=dict(parameters), settings=settings)
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    def kept(self, start: datetime) -> Kept:
        """Return from when on rollups surely have all; asks the store only where `start` is not of the last day."""
        now = self.now()
        if start >= now - _SURELY_KEPT:
            return Kept(start, start)
        days = {str(row["name"]): str(row["days"]) for row in self.rows(_DAYS_KEPT, {})}
        minutes, hours = (
            # A table without a limit keeps all.
            now - timedelta(days=int(days[name])) + _SURELY_KEPT if days.get(name) else start
            for name in ("metrics_1m", "metrics_1h")
        )
        return Kept(minutes, hours)

    def close(self) -> None:
        """Release connections."""
        self.client.close()


def open_reader(settings: StoreSettings) -> Reader:
    """Return a reader that gives up after `LONGEST_SECONDS`.

    Raises:
        StoreUnavailable, StoreRefused: as `storage.client.connect`.
    """
    patient = replace(settings, query_seconds=min(settings.query_seconds, LONGEST_SECONDS))
    return Reader(connect(patient), settings.url)
