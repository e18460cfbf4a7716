"""How a step writes a dead letter: the original bytes, with why and where they stood in headers."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from inferwatch import topics
from processors.producer import OutgoingRecord
from processors.records import decode_records
from processors.step import Record

R = TypeVar("R")

MOST_BYTES: Final = 8 << 20
"""A record that unpacked is larger than Kafka takes would hold up everything behind it for ever."""


def dead_letter(
    value: bytes,
    reason: str,
    topic: str,
    partition: int,
    offset: int,
    index: int | None = None,
    topic_id: str | None = None,
) -> OutgoingRecord:
    """Return a record for the dead-letter topic. `index` is the line within the record; None is all of it.

    `topic_id` tells a topic apart from one of the same name that was deleted: both begin at offset 0. Beyond
    `MOST_BYTES` the value is cut, and header `bytes` says how long it was.
    """
    headers = [("reason", reason), ("topic", topic), ("partition", str(partition)), ("offset", str(offset))]
    if index is not None:
        headers.append(("index", str(index)))
    if topic_id is not None:
        headers.append(("topic-id", topic_id))
    if len(value) > MOST_BYTES:
        headers.append(("bytes", str(len(value))))
    return OutgoingRecord(topics.DEAD_LETTERS, value[:MOST_BYTES], topic, tuple(headers))


def read_or_bury(record: Record, kind: type[R], buried: list[OutgoingRecord]) -> list[R]:
    """Return what a record between processors holds; where it is not that, add a dead letter and return nothing."""
    try:
        return decode_records(record.value or b"", kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = f"not a {kind.__name__}: {type(error).__name__}"
        buried.append(dead_letter(record.value or b"", reason, record.topic, record.partition, record.offset))
        return []
