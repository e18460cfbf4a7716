"""Alerts and how they came to be: every transition is one row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from storage.queries.reader import Reader
from storage.queries.records import columns, record
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import Where, latest, of_model

_OPEN: Final = ("firing", "pending")
_SEVERITIES: Final = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Alert:
    """One transition: at `at` the alert, which began at `started_at`, went into `state`."""

    transition_id: UUID
    alert_id: UUID
    at: datetime
    started_at: datetime
    state: str
    rule: str
    severity: str
    environment: str
    model: str
    signal: str
    value: float
    threshold: float
    events: int
    summary: str

    @property
    def open(self) -> bool:
        """Whether someone should still look."""
        return self.state in _OPEN


def transitions(reader: Reader, range: TimeRange, filters: Filters = ANY, *, limit: int = 1_000) -> list[Alert]:
    """Return the transitions in the range, newest first. Of the filters, environment and model apply."""
    where = of_model(range, filters)
    where.parameters["limit"] = limit
    rest = "ORDER BY at DESC, transition_id LIMIT {limit:UInt32}"
    rows = reader.rows(latest(columns(Alert), "alerts", where, "transition_id", rest), where.parameters)
    return [record(Alert, row) for row in rows]


def alerts(reader: Reader, range: TimeRange, filters: Filters = ANY, *, limit: int = 1_000) -> list[Alert]:
    """Return the last transition in the range of every alert, newest first."""
    return _latest(reader, of_model(range, filters), limit)


def open_alerts(reader: Reader, filters: Filters = ANY, *, limit: int = 1_000) -> list[Alert]:
    """Return alerts whose last transition is pending or firing, whenever that was: firing first, then the gravest."""
    condition = "WHERE t.state IN ('pending', 'firing') "
    found = _latest(reader, of_model(None, filters), limit, condition)
    return sorted(found, key=lambda alert: (_OPEN.index(alert.state), _gravity(alert.severity), alert.started_at))


def _latest(reader: Reader, where: Where, limit: int, condition: str = "") -> list[Alert]:
    where.parameters["limit"] = limit
    rest = condition + "ORDER BY at DESC, transition_id LIMIT {limit:UInt32}"
    statement = latest(columns(Alert), "alerts", where, "alert_id", rest, newest="t.at DESC, ")
    return [record(Alert, row) for row in reader.rows(statement, where.parameters)]


def _gravity(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
