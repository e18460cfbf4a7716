"""Step 1: bytes of Kafka records to events; whatever is not one becomes a dead letter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from inferwatch.errors import EventError
from inferwatch.events import InferenceEvent
from inferwatch.wire import decode_inference, split_record
from processors.records import Position

MOST_EVENTS: Final = 50_000
"""Events in one Kafka record: they are inserted together or not at all."""


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


@dataclass(slots=True)
class Decoded:
    """The outcome of decoding: good events with their positions and their lines, and the rest."""

    events: list[tuple[Position, InferenceEvent, bytes]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


def decode(records: Iterable[SourceRecord]) -> Decoded:
    """Decode records line by line: one bad line leaves its neighbours alone."""
    outcome = Decoded()
    for record in records:
        if not record.value or not record.value.strip():
            position = Position(record.partition, record.offset, 0)
            outcome.dead.append(DeadLetter(position, "empty record", record.value or b""))
            continue
        if record.value.count(b"\n") >= MOST_EVENTS:
            position = Position(record.partition, record.offset, 0)
            outcome.dead.append(DeadLetter(position, f"more than {MOST_EVENTS} events in one record", record.value))
            continue
        for index, line in split_record(record.value):
            position = Position(record.partition, record.offset, index)
            try:
                outcome.events.append((position, decode_inference(line, index), line))
            except EventError as error:
                outcome.dead.append(DeadLetter(position, error.reason, line))
    return outcome
