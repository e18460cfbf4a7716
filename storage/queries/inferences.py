"""Single inferences: a list to page through, and all there is about one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from inferwatch.events import Message
from storage.queries.messages import parsed
from storage.queries.reader import Reader
from storage.queries.records import columns, record
from storage.queries.scope import ANY, Filters, TimeRange, to_micros
from storage.queries.statement import Where, of_inferences, select

PREVIEW_CHARACTERS: Final = 160

# What matches often is found in the last minutes; what matches rarely takes few questions more than one. A question
# with text looks words up anew each time, and one user's rows are known from an index: there are fewer of those.
_PIECES: Final = (timedelta(minutes=5), 12)
_PIECES_WITH_TEXT: Final = (timedelta(hours=1), 6)
_PIECES_OF_ONE: Final = (timedelta(days=1), 16)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page; the next page starts after it."""

    started_at: datetime
    event_id: UUID


@dataclass(frozen=True, slots=True)
class InferenceRow:
    """One line of the list. Durations are seconds; `cost` is US dollars, None where unknown; text is masked."""

    event_id: UUID
    started_at: datetime
    environment: str
    service: str
    team: str
    source: str
    model: str
    model_version: str
    status: str
    error_type: str
    duration: float
    time_to_first_token: float | None
    time_per_output_token: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    flags: tuple[str, ...]
    trace_id: str
    pii_types: tuple[str, ...]
    preview: str


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first, and where the next page starts; None on the last."""

    rows: tuple[InferenceRow, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class PiiFound:
    """Hits of one entity type in one place of one inference."""

    entity_type: str
    place: str
    hits: int


@dataclass(frozen=True, slots=True)
class Inference:
    """All that is stored about one inference, except its embedding.

    Durations are seconds, `cost` is US dollars and None where unknown. Messages are masked. `text_expired` says that
    there was text and its time to live is over.
    """

    event_id: UUID
    started_at: datetime
    ingested_at: datetime
    environment: str
    service: str
    team: str
    user: str
    source: str
    source_partition: int
    source_offset: int
    trace_id: str
    span_id: str
    parent_span_id: str
    conversation_id: str
    response_id: str
    operation: str
    provider: str
    request_model: str
    model: str
    model_version: str
    prompt_name: str
    prompt_version: str
    parameters: str
    stream: bool
    time_to_first_token: float | None
    time_per_output_token: float | None
    duration: float
    queue_time: float | None
    compute_time: float | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    reasoning_tokens: int | None
    token_source: str
    cost: Decimal | None
    price: str
    status: str
    error_type: str
    error_message: str
    finish_reasons: tuple[str, ...]
    input_messages: tuple[Message, ...]
    output_messages: tuple[Message, ...]
    input_characters: int
    output_characters: int
    truncated: bool
    content_unavailable: bool
    pii: tuple[PiiFound, ...]
    tensors: str
    attributes: Mapping[str, str]
    flags: tuple[str, ...]
    text_expired: bool


_PREVIEW: Final = "substringUTF8(JSONExtractString(t.input_messages, -1, 'parts', -1, 'content'), 1, {preview:UInt16})"
_ROW: Final = columns(
    InferenceRow,
    # What the person asked last.
    {"pii_types": "arraySort(arrayDistinct(t.pii.entity_type))", "preview": _PREVIEW},
)
_EXPIRED: Final = (
    "(t.input_characters > 0 AND empty(t.input_messages)) OR (t.output_characters > 0 AND empty(t.output_messages))"
)
_ONE: Final = columns(Inference, {"text_expired": _EXPIRED})


def inferences(
    reader: Reader, range: TimeRange, filters: Filters = ANY, *, limit: int = 50, after: Cursor | None = None
) -> Page:
    """Return a page of inferences, newest first. Pages do not shift while new ones arrive."""
    left = range if after is None else _up_to(range, after)
    found: list[dict[str, Any]] = []
    for piece in left.newest_first(*_pieces(filters)) if left is not None else ():
        found += _newest(reader, piece, filters, limit + 1 - len(found), after)
        if len(found) > limit:
            break
    rows = tuple(record(InferenceRow, row) for row in found[:limit])
    return Page(rows, Cursor(rows[-1].started_at, rows[-1].event_id) if len(found) > limit else None)


def _pieces(filters: Filters) -> tuple[timedelta, int]:
    """Return how long the first piece of a range is that is looked through, and how many times as long the next."""
    if filters.user or filters.conversation_id or filters.trace_id:
        return _PIECES_OF_ONE
    return _PIECES_WITH_TEXT if filters.text else _PIECES


def _up_to(range: TimeRange, after: Cursor) -> TimeRange | None:
    """Return the part of the range that the next page lies in."""
    end = min(range.end, after.started_at + timedelta(microseconds=1))
    return TimeRange(range.start, end) if range.start < end else None


def _newest(
    reader: Reader, range: TimeRange, filters: Filters, limit: int, after: Cursor | None
) -> list[dict[str, Any]]:
    where = of_inferences(range, filters)
    if after is not None:
        where.add(
            "(t.started_at, t.event_id) < (fromUnixTimestamp64Micro({after_at:Int64}, 'UTC'), {after_id:UUID})",
            after_at=to_micros(after.started_at),
            after_id=str(after.event_id),
        )
    where.bind(limit=limit, preview=PREVIEW_CHARACTERS)
    rest = "ORDER BY t.started_at DESC, t.event_id DESC LIMIT {limit:UInt32}"
    return reader.rows(select(_ROW, "inferences", where, rest), where.parameters)


def inference(reader: Reader, event_id: UUID) -> Inference | None:
    """Return one inference; None where there is none, or no more."""
    where = Where().add("t.event_id = {event_id:UUID}", event_id=str(event_id))
    rows = reader.rows(select(_ONE, "inferences", where, "LIMIT 1"), where.parameters)
    return _inference(rows[0]) if rows else None


def _inference(row: Mapping[str, Any]) -> Inference:
    return record(
        Inference,
        row,
        input_messages=parsed(row["input_messages"]),
        output_messages=parsed(row["output_messages"]),
        pii=tuple(PiiFound(*_values(hit)) for hit in row["pii"]),
        text_expired=bool(row["text_expired"]),
    )


def _values(hit: Any) -> tuple[Any, ...]:
    return tuple(hit.values()) if isinstance(hit, Mapping) else tuple(hit)
