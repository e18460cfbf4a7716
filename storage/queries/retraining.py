"""Retraining runs: why, with what, and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage.queries.reader import Reader
from storage.queries.records import columns, record
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import latest, of_model


@dataclass(frozen=True, slots=True)
class RetrainingRun:
    """One run that an alert started; `dataset` is the file it trains on, with `rows` rows."""

    run_id: UUID
    at: datetime
    alert_id: UUID
    environment: str
    model: str
    reason: str
    status: str
    dataset: str
    rows: int


def retraining_runs(
    reader: Reader, range: TimeRange | None = None, filters: Filters = ANY, *, limit: int = 200
) -> list[RetrainingRun]:
    """Return runs as they stand now, newest first. Of the filters, environment and model apply."""
    where = of_model(range, filters)
    where.parameters["limit"] = limit
    rest = "ORDER BY at DESC, run_id LIMIT {limit:UInt32}"
    statement = latest(columns(RetrainingRun), "retraining_runs", where, "run_id", rest)
    return [record(RetrainingRun, row) for row in reader.rows(statement, where.parameters)]
