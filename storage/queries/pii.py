"""Which kinds of personal data were found, where, and in how many inferences."""

from __future__ import annotations

from dataclasses import dataclass

from storage.queries.reader import Reader
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import Where, answers_all, of_inferences, of_rollup, select
from storage.queries.tiles import fits

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
    rolled = answers_all(filters, _COLUMNS) and fits(range, None) and range.start >= reader.kept(range.start).hours
    source, where = _rollup(range, filters) if rolled else _rows(range, filters)
    found = {
        "entity_type": "t.entity_type",
        "place": "t.place",
        "hits": "sum(t.hits)",
        "inferences": "sum(t.inferences)",
    }
    statement = select(found, source, where, "GROUP BY entity_type, place ORDER BY hits DESC, entity_type, place")
    rows = reader.rows(statement, where.parameters)
    return [PiiCount(row["entity_type"], row["place"], int(row["hits"]), int(row["inferences"])) for row in rows]


def _rollup(range: TimeRange, filters: Filters) -> tuple[str, Where]:
    return "pii_hits", of_rollup("t.bucket", range, filters, _COLUMNS)


def _rows(range: TimeRange, filters: Filters) -> tuple[str, Where]:
    where = of_inferences(range, filters)
    hits = select({"hit": "arrayJoin(t.pii)"}, "inferences", where.add("notEmpty(t.pii)"))
    columns = {"entity_type": "t.hit.1", "place": "t.hit.2", "hits": "t.hit.3", "inferences": "1"}
    return f"({select(columns, f'({hits})')})", Where().bind(**where.parameters)
