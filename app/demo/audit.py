"""What ClickHouse holds after the demo, by questions of its own: not through the code that it checks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from clickhouse_connect.driver.client import Client

_NEEDLES: Final = 200
"""`multiSearchAny` takes up to 255."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One stored inference, as far as the comparison needs it."""

    event_id: str
    source: str
    time_to_first_token: float | None
    time_per_output_token: float | None
    duration: float


def stored_rows(client: Client) -> list[StoredRow]:
    """Return every stored inference."""
    rows = client.query(
        "SELECT toString(event_id), source, time_to_first_token, time_per_output_token, duration FROM inferences"
    ).result_rows
    return [StoredRow(*row) for row in rows]


def rolled_up(client: Client) -> int:
    """Return how many inferences the rollups count."""
    return int(str(client.command("SELECT sum(requests) FROM metrics_1m")))


def cost(client: Client) -> dict[str, Any]:
    """Return total cost, and how many inferences have none."""
    total, unknown, count = client.query(
        "SELECT sum(cost), countIf(isNull(cost)), count() FROM inferences"
    ).result_rows[0]
    return {
        "total": str(total or Decimal(0)),
        "currency": "USD",
        "unknown": int(unknown),
        "unknown_share": unknown / count if count else 0.0,
    }


def pii_hits(client: Client) -> dict[str, int]:
    """Return the number of values found, by entity type."""
    rows = client.query(
        "SELECT entity_type, sum(hits) FROM pii_hits GROUP BY entity_type ORDER BY entity_type"
    ).result_rows
    return {str(kind): int(hits) for kind, hits in rows}


def found_in_clear(client: Client, values: Sequence[str]) -> list[str]:
    """Return which of some values stand anywhere in the database: in any column of any row of any table.

    Each is searched for as it was written, and without its blanks and dashes.
    """
    spellings = {spelling: value for value in values for spelling in _spellings(value)}
    tables = [
        str(row[0])
        for row in client.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%View'"
        ).result_rows
    ]
    found: set[str] = set()
    for table, needles in itertools.product(tables, _chunks(sorted(spellings))):
        rows = client.query(
            "SELECT DISTINCT arrayJoin(arrayFilter(n -> position(line, n) > 0, {needles:Array(String)})) FROM"
            " (SELECT formatRow('TSVRaw', *) AS line FROM {table:Identifier}"
            " WHERE multiSearchAny(line, {needles:Array(String)}))",
            parameters={"table": table, "needles": needles},
        ).result_rows
        found.update(spellings[str(row[0])] for row in rows)
    return sorted(found)


def _spellings(value: str) -> Iterable[str]:
    return {value, value.replace(" ", "").replace("-", "")}


def _chunks(values: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _NEEDLES):
        yield list(values[start : start + _NEEDLES])


def retraining_runs(client: Client) -> list[dict[str, Any]]:
    """Return each retraining run with its dataset and how many lines that file has now."""
    rows = client.query(
        "SELECT toString(run_id), model, reason, dataset, rows FROM retraining_runs LIMIT 1 BY run_id"
    ).result_rows
    return [
        {"run_id": run_id, "model": model, "reason": reason, "dataset": dataset, "rows": int(count)}
        for run_id, model, reason, dataset, count in rows
    ]
