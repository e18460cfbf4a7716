"""Runs statements and hands back rows by column name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings, connect, translated_errors

LONGEST_SECONDS: Final = 20.0
"""A question that takes longer is given up: the next refresh would pile up behind it."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A client that threads may share, and the address to name when it does not answer."""

    client: Client
    url: str

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all rows of a statement, its `{name:Type}` places bound to `parameters`."""
        with translated_errors(self.url):
            result = self.client.query(statement, parameters=dict(parameters))
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
