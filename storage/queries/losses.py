"""What mirrors say they lost: events that were to be here and are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from storage.queries.reader import Reader
from storage.queries.records import moment
from storage.queries.scope import ANY, Filters, TimeRange, from_micros
from storage.queries.statement import Where, select

_COLUMNS: Final = ("environment", "service", "team", "source")


@dataclass(frozen=True, slots=True)
class Loss:
    """Events that the mirrors of one service lost.

    Attributes:
        source: what mirrors: `sdk`, `sidecar` and the like.
        dropped: never left the process, whose memory was full.
        failed: were sent, and nobody acknowledged them; or could not be sent.
        reasons: why, with how many.
        mirrors: how many processes lost some.
        last: when the last loss was told.
    """

    environment: str
    source: str
    service: str
    dropped: int
    failed: int
    mirrors: int
    last: datetime
    reasons: Mapping[str, int] = field(default_factory=dict)


def losses(reader: Reader, range: TimeRange, filters: Filters = ANY) -> list[Loss]:
    """Return what was told lost in the range, by environment, source and service, most first.

    Of the filters, environment, team, service and source apply. A report that was made again counts as it was last.
    """
    where = Where().between("t.at", range).equal(filters, _COLUMNS)
    names = (*_COLUMNS, "instance", "dropped", "failed", "reasons", "reason_counts", "at")
    one = select(
        {name: f"t.{name}" for name in names}, "drop_reports", where, "ORDER BY t.at DESC LIMIT 1 BY t.report_id"
    )
    columns = {
        **{name: f"t.{name}" for name in ("environment", "source", "service")},
        "dropped": "sum(t.dropped)",
        "failed": "sum(t.failed)",
        "mirrors": "uniqExact(t.instance)",
        "last": moment("max(t.at)"),
        "reasons": "sumMap(t.reasons, t.reason_counts)",
    }
    rest = "GROUP BY environment, source, service ORDER BY sum(t.dropped) + sum(t.failed) DESC, source, service"
    rows = reader.rows(select(columns, f"({one})", None, rest), where.parameters)
    return [
        Loss(**{**row, "last": from_micros(row["last"]), "reasons": dict(zip(*row["reasons"], strict=True))})
        for row in rows
    ]
