"""What a request comes to: the records that Kafka must acknowledge, and the answer that it gets then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from inferwatch import topics
from inferwatch.events import FeedbackEvent, InferenceEvent, TelemetryEvent
from inferwatch.transport import Record
from inferwatch.truncation import truncate
from inferwatch.wire import encode_event, join_record
from ingest.collector.metrics import MetricName
from ingest.errors import Invalid, TooLarge

EVENTS_PER_RECORD: Final = 100
RECORD_BYTES: Final = 256 << 10
MOST_EVENT_BYTES: Final = 15 << 20
"""Of one event as JSON: what a topic takes, 16 MiB, less what Kafka puts around it."""

_LEAST_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Records, and what to answer once they are acknowledged.

    Attributes:
        records: what Kafka gets; none where there is nothing to store.
        answer: body of the answer, in the form that the request's protocol wants.
        counts: what to count once all is acknowledged.
        repeatable: whether the same bytes again are the same events again, because these have ids of their own.
    """

    records: tuple[Record, ...]
    answer: bytes
    counts: tuple[tuple[MetricName, int], ...] = ()
    repeatable: bool = False


def inference_line(event: InferenceEvent, most_characters: int, index: int) -> bytes:
    """Return an event as a line, its text cut as the SDK cuts it; further where it would not fit into a record.

    Raises:
        TooLarge: what is not text is too large already.
        Invalid: it cannot be written, see `line_of`.
    """
    event = truncate(event, most_characters)
    line = _encoded(event, index)
    while len(line) > MOST_EVENT_BYTES and most_characters > _LEAST_CHARACTERS:
        most_characters //= 8
        line = _encoded(truncate(msgspec.structs.replace(event, truncated=None), most_characters), index)
    if len(line) > MOST_EVENT_BYTES:
        raise TooLarge("the event without its text", MOST_EVENT_BYTES, index)
    return line


def line_of(event: FeedbackEvent | TelemetryEvent, index: int) -> bytes:
    """Return an event as a line.

    Raises:
        TooLarge: no topic would take it.
        Invalid: it is nested more deeply than can be written.
    """
    line = _encoded(event, index)
    if len(line) > MOST_EVENT_BYTES:
        raise TooLarge("the event", MOST_EVENT_BYTES, index)
    return line


def _encoded(event: InferenceEvent | FeedbackEvent | TelemetryEvent, index: int) -> bytes:
    try:
        return encode_event(event)
    except RecursionError as error:
        raise Invalid(index, "$", "nested too deeply") from error


def inference_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield records of at most `EVENTS_PER_RECORD` events and `RECORD_BYTES`; a longer line has one of its own."""
    for part in chunks(lines):
        yield Record(topics.INFERENCES, join_record(part), len(part))


def chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield lines in groups that fit into one record each."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and (len(held) >= EVENTS_PER_RECORD or size + len(line) > RECORD_BYTES):
            yield held
            held, size = [], 0
        held.append(line)
        size += len(line) + 1
    if held:
        yield held
