"""Lines of Kafka records to events of a kind, one by one: a bad line leaves its neighbours alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from inferwatch.errors import EventError
from inferwatch.validity import Reason, in_words
from inferwatch.wire import split_record
from processors.enrich.decode import MOST_EVENTS, DeadLetter, SourceRecord
from processors.records import Position

E = TypeVar("E")


def read_lines(
    records: Iterable[SourceRecord],
    decode: Callable[[bytes, int], E],
    invalid: Callable[[E], Reason | None],
) -> tuple[list[tuple[Position, E]], list[DeadLetter]]:
    """Return the events of records, with where they stood, and what cannot be processed.

    `decode` raises `EventError`; `invalid` says why an event cannot be true, without quoting it.
    """
    good: list[tuple[Position, E]] = []
    dead: list[DeadLetter] = []
    for record in records:
        start = Position(record.partition, record.offset, 0)
        if not record.value or not record.value.strip():
            dead.append(DeadLetter(start, "empty record", record.value or b""))
            continue
        if record.value.count(b"\n") >= MOST_EVENTS:
            dead.append(DeadLetter(start, f"more than {MOST_EVENTS} events in one record", record.value))
            continue
        for index, line in split_record(record.value):
            position = Position(record.partition, record.offset, index)
            try:
                event = decode(line, index)
                reason = in_words(invalid(event))
            except EventError as error:
                reason = error.reason
            if reason is None:
                good.append((position, event))
            else:
                dead.append(DeadLetter(position, reason, line))
    return good, dead
