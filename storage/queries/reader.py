"""Runs statements and hands back rows by column name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors
from storage.queries.text import SETTINGS

LONGEST_SECONDS: Final = 20.0
"""A question that takes longer is given up: the next refresh would pile up behind it."""


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
