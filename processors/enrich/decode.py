"""Step 1: bytes of Kafka records to events; whatever is not one becomes a dead letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferwatch.errors import EventError
from inferwatch.events import SCHEMA_VERSION, InferenceEvent
from inferwatch.wire import decode_inference, split_record
from processors.records import Position

MOST_EVENTS: Final = 50_000
"""Events in one Kafka record: they are inserted together or not at all."""

_all_lines: Final = msgspec.json.Decoder(InferenceEvent).decode_lines


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A Kafka record of the inferences topic. `value` is None for a tombstone."""

    partition: int
    offset: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bytes that could not be processed, why, and where they stood."""

    position: Position
    reason: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """Good events in the order of their records, where each one stood, and the rest.

    Attributes:
        events: n events.
        record_of: n indices into `records`.
        line_of: n line numbers within those records, blank lines counted.
    """

    records: Sequence[SourceRecord]
    events: list[InferenceEvent]
    record_of: NDArray[np.intp]
    line_of: NDArray[np.uint32]
    dead: list[DeadLetter]

    def position(self, place: int) -> Position:
        """Return where an event stood."""
        record = self.records[self.record_of[place]]
        return Position(record.partition, record.offset, int(self.line_of[place]))

    def lines(self, places: Iterable[int]) -> Iterator[bytes]:
        """Yield the bytes of events, whose places ascend."""
        for record, those in groupby(places, key=lambda place: int(self.record_of[place])):
            lines = (self.records[record].value or b"").split(b"\n")
            yield from (lines[self.line_of[place]] for place in those)

    def only(self, wanted: NDArray[np.bool_]) -> Decoded:
        """Return it with some of its events; `wanted` has one truth value an event."""
        events = [self.events[place] for place in np.flatnonzero(wanted)]
        return Decoded(self.records, events, self.record_of[wanted], self.line_of[wanted], self.dead)


def decode(records: Iterable[SourceRecord]) -> Decoded:
    """Decode records; where something in one does not fit, line by line: a bad line leaves its neighbours alone."""
    records = list(records)
    events: list[InferenceEvent] = []
    lines: list[NDArray[np.uint32]] = []
    dead: list[DeadLetter] = []
    for record in records:
        whole = _whole(record.value)
        if whole is not None:
            events += whole
            lines.append(np.arange(len(whole), dtype=np.uint32))
            continue
        good = list(_line_by_line(record, dead))
        events += (event for _, event in good)
        lines.append(np.array([index for index, _ in good], dtype=np.uint32))
    record_of = np.repeat(np.arange(len(records)), [len(each) for each in lines])
    line_of = np.concatenate(lines) if lines else np.zeros(0, np.uint32)
    return Decoded(records, events, record_of, line_of, dead)


def _whole(value: bytes | None) -> list[InferenceEvent] | None:
    """Return the events of a record in which every line is one; None where it has to be looked at line by line."""
    if not value:
        return None
    lines = value.count(b"\n") + 1
    if lines > MOST_EVENTS or (lines > 1 and not _braced(value)):
        return None
    try:
        events = _all_lines(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(events) == lines and max([event.schema_version for event in events]) <= SCHEMA_VERSION:
        return events
    return None


def _braced(value: bytes) -> bool:
    """Tell whether each line break is between two braces: only then no two events share a line, or one stands on two.

    Searching for the three bytes would read each of them one by one, and take a third of the time of decoding.
    """
    if value[:1] == b"\n" or value[-1:] == b"\n":
        return False
    letters = np.frombuffer(value, np.uint8)
    breaks = np.flatnonzero(letters == ord("\n"))
    return bool((letters[breaks - 1] == ord("}")).all() and (letters[breaks + 1] == ord("{")).all())


def _line_by_line(record: SourceRecord, dead: list[DeadLetter]) -> Iterator[tuple[int, InferenceEvent]]:
    value = record.value
    if not value or not value.strip():
        dead.append(DeadLetter(Position(record.partition, record.offset, 0), "empty record", value or b""))
        return
    if value.count(b"\n") >= MOST_EVENTS:
        reason = f"more than {MOST_EVENTS} events in one record"
        dead.append(DeadLetter(Position(record.partition, record.offset, 0), reason, value))
        return
    for index, line in split_record(value):
        try:
            yield index, decode_inference(line, index)
        except EventError as error:
            dead.append(DeadLetter(Position(record.partition, record.offset, index), error.reason, line))
