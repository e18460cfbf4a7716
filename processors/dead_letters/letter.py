"""A dead letter as people see it, and the marks that replays leave beside dead letters in the same topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from confluent_kafka import Message

from inferwatch import topics
from processors.topic_reader import headers_of, seconds_of

REPLAY: Final = "inferwatch-replay"
"""Header of a mark: `begun` before a letter is sent back, `done` after Kafka has it."""

FOREIGN: Final = "no reason given: something else than Inferwatch wrote this record"


@dataclass(frozen=True, slots=True, order=True)
class LetterKey:
    """Where bytes stood that became a dead letter. `index` is the line, -1 for a whole record.

    `topic_id` is empty where it was not written down.
    """

    topic: str
    partition: int
    offset: int
    index: int
    topic_id: str = ""

    def __str__(self) -> str:
        line = "" if self.index < 0 else f":{self.index}"
        return f"{self.topic}:{self.partition}:{self.offset}{line}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the dead-letter topic.

    Attributes:
        key: where its bytes stood.
        reason: why they could not be processed.
        value: the bytes; shorter than `size` where they were cut.
        size: how many bytes there were.
        at: when it was written, in Unix seconds; None where Kafka does not know.
        partition: its own partition in the dead-letter topic.
        offset: its own offset there.
        headers: all headers, as text.
        foreign: it was not written by a processor.
    """

    key: LetterKey
    reason: str
    value: bytes
    size: int
    at: float | None
    partition: int
    offset: int
    headers: dict[str, str] = field(default_factory=dict)
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What a replay, `run`, says of one letter at `at`; `place` is its own partition and offset."""

    key: LetterKey
    stage: Literal["begun", "done"]
    run: str
    at: float
    place: tuple[int, int]


def read_message(message: Message) -> Letter | Mark:
    """Return what a record of the dead-letter topic is. Any record is something."""
    headers = headers_of(message)
    partition, offset = message.partition() or 0, message.offset() or 0
    value, at = message.value() or b"", seconds_of(message)
    key = _key(headers)
    if key is None:
        key = LetterKey(topics.DEAD_LETTERS, partition, offset, -1)
        return Letter(key, FOREIGN, value, len(value), at, partition, offset, headers, foreign=True)
    if REPLAY in headers:
        stage: Literal["begun", "done"] = "done" if headers[REPLAY] == "done" else "begun"
        return Mark(key, stage, headers.get("run", ""), at or 0.0, (partition, offset))
    size = headers.get("bytes", "")
    return Letter(
        key,
        headers.get("reason", FOREIGN),
        value,
        int(size) if size.isascii() and size.isdecimal() else len(value),
        at,
        partition,
        offset,
        headers,
    )


def mark_headers(key: LetterKey, stage: Literal["begun", "done"], run: str) -> list[tuple[str, str | bytes | None]]:
    """Return the headers of a mark."""
    headers: list[tuple[str, str | bytes | None]] = [(REPLAY, stage), ("run", run), ("topic", key.topic)]
    headers += [("partition", str(key.partition)), ("offset", str(key.offset))]
    if key.index >= 0:
        headers.append(("index", str(key.index)))
    if key.topic_id:
        headers.append(("topic-id", key.topic_id))
    return headers


def _key(headers: dict[str, str]) -> LetterKey | None:
    numbers = [headers.get("partition", ""), headers.get("offset", ""), headers.get("index", "0")]
    if not headers.get("topic") or not all(each.isascii() and each.isdecimal() for each in numbers):
        return None
    index = int(numbers[2]) if "index" in headers else -1
    return LetterKey(headers["topic"], int(numbers[0]), int(numbers[1]), index, headers.get("topic-id", ""))
