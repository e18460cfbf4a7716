"""Which kinds of personal data were found, where, and in how many inferences."""

from __future__ import annotations

from dataclasses import dataclass

from storage.queries.reader import Reader
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import Where, of_inferences, select

_COLUMNS = ("environment", "model", "team")


@dataclass(frozen=True, slots=True)
class PiiCount:
    """Hits of one entity type in one place (`input`, `output`, …) and the inferences they were in."""

    entity_type: str
    place: str
    hits: int
    inferences: int


def pii_by_type(reader: Reader, range: TimeRange, filters: Filters = ANY) -> list[PiiCount]:
    """Return hits by type and place, most first."""
    found = {
        "entity_type": "t.entity_type",
        "place": "t.place",
        "hits": "sum(t.hits)",
        "inferences": "uniqExact(t.event_id)",
    }
    source, where = _source(range, filters)
    rows = reader.rows(
        select(found, source, where, "GROUP BY entity_type, place ORDER BY hits DESC, entity_type, place"),
        where.parameters,
    )
    return [PiiCount(row["entity_type"], row["place"], int(row["hits"]), int(row["inferences"])) for row in rows]


def _source(range: TimeRange, filters: Filters) -> tuple[str, Where]:
    kept = Filters(**{name: getattr(filters, name) for name in _COLUMNS})
    if filters == kept:
        return "pii_hits", Where().between("started_at", range).equal(filters, _COLUMNS)
    where = of_inferences(range, filters)
    hits = select({"event_id": "t.event_id", "hit": "arrayJoin(t.pii)"}, "inferences", where)
    columns = {"event_id": "t.event_id", "entity_type": "t.hit.1", "place": "t.hit.2", "hits": "t.hit.3"}
    outer = Where()
    outer.parameters = where.parameters
    return f"({select(columns, f'({hits})')})", outer
