"""Reading the dead-letter topic: the latest letters that someone wants, or one by its id."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from inferwatch import topics
from processors.dead_letters.errors import NoSuchLetter
from processors.dead_letters.letter import Letter, LetterKey, Mark, read_message
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, Span, TopicReader

KEPT_BYTES: Final = 64 << 10
"""Of the payload of a letter in a list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters. Every field narrows; `reason` is a part of the reason, times are Unix seconds."""

    reason: str = ""
    topic: str = ""
    partition: int | None = None
    since: float | None = None
    until: float | None = None

    def fits(self, letter: Letter) -> bool:
        """Tell whether a letter is wanted. One without a time fits any time."""
        return (
            self.reason.lower() in letter.reason.lower()
            and self.topic in ("", letter.key.topic)
            and self.partition in (None, letter.key.partition)
            and (self.since is None or letter.at is None or letter.at >= self.since)
            and (self.until is None or letter.at is None or letter.at < self.until)
        )


@dataclass(slots=True)
class Found:
    """Letters, newest first, at most as many as asked for, and what all that are wanted come to.

    Attributes:
        letters: their values are cut to `KEPT_BYTES`.
        distinct: how many there are; the same bytes set apart twice count once.
        repeats: how many more records there were.
        times: how often a letter came, where it was more than once.
        reasons: how many have each reason.
        replayed: which were replayed.
    """

    letters: list[Letter] = field(default_factory=list)
    distinct: int = 0
    repeats: int = 0
    times: Counter[LetterKey] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    replayed: set[LetterKey] = field(default_factory=set)


class DeadLetterTopic:
    """The dead-letter topic from its beginning, read on with each call. Use it with `with`."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Nothing is asked of Kafka yet."""
        self._reader = TopicReader(settings, topics.DEAD_LETTERS)
        self._next: dict[int, int] = {}

    def __enter__(self) -> DeadLetterTopic:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def news(self, since: float | None = None) -> Iterator[Letter | Mark]:
        """Yield what came since the last call, up to now; the first time from `since` on.

        Raises:
            TopicUnreadable: Kafka does not answer, or may not be read.
        """
        spans = self._reader.whole()
        if since is not None and not self._next:
            places = self._reader.offsets_at(since, [span.partition for span in spans])
            spans = [Span(span.partition, places.get(span.partition, span.end), span.end) for span in spans]
        spans = [replace(span, first=self._next.get(span.partition, span.first)) for span in spans]
        self._next.update({span.partition: span.end for span in spans})
        yield from self.between(spans)

    def at(self, partition: int | None, offset: int) -> list[Letter]:
        """Return the letters with an offset of the dead-letter topic itself, of any partition or one."""
        spans = [
            Span(span.partition, offset, offset + 1)
            for span in self._reader.whole()
            if partition in (None, span.partition) and span.first <= offset < span.end
        ]
        return [each for each in self.between(spans) if isinstance(each, Letter)]

    def between(self, spans: list[Span]) -> Iterator[Letter | Mark]:
        """Yield what spans of the topic hold."""
        for messages in self._reader.read(spans):
            if not isinstance(messages, Removed):
                yield from map(read_message, messages)


def browse(settings: KafkaSettings, wanted: Wanted, limit: int) -> Found:
    """Return the latest `limit` letters that are wanted, each once. Raises `TopicUnreadable`."""
    found = Found()
    seen: set[LetterKey] = set()
    latest: list[tuple[float, int, int, Letter]] = []
    with DeadLetterTopic(settings) as topic:
        for entry in topic.news(wanted.since):
            if isinstance(entry, Mark):
                if entry.stage == "done":
                    found.replayed.add(entry.key)
                continue
            if not wanted.fits(entry):
                continue
            if entry.key in seen:
                found.repeats += 1
                found.times[entry.key] += 1
                continue
            seen.add(entry.key)
            found.reasons[entry.reason] += 1
            kept = replace(entry, value=entry.value[:KEPT_BYTES])
            heapq.heappush(latest, (entry.at or 0.0, entry.offset, entry.partition, kept))
            if len(latest) > limit:
                heapq.heappop(latest)
    found.distinct = len(seen)
    found.times = Counter({key: times + 1 for key, times in found.times.items()})
    found.letters = [letter for *_, letter in sorted(latest, key=lambda each: each[:3], reverse=True)]
    return found


def find(settings: KafkaSettings, wanted: str) -> tuple[Letter, bool]:
    """Return the letter with an id, and whether it was replayed.

    `wanted` is `topic:partition:offset[:index]` of what became a dead letter, `partition:offset` of the dead-letter
    topic itself, or an offset there that only one partition has.

    Raises:
        NoSuchLetter: nothing has that id, or several letters have.
        TopicUnreadable: Kafka does not answer, or may not be read.
    """
    parts = wanted.split(":")
    numbers = [int(part) for part in parts if part.isascii() and part.isdecimal()]
    with DeadLetterTopic(settings) as topic:
        if len(parts) == len(numbers) <= 2:
            letters = topic.at(numbers[0] if len(numbers) == 2 else None, numbers[-1])
        else:
            letters = [each for each in topic.news() if isinstance(each, Letter) and str(each.key) == wanted]
    letters = list({letter.key: letter for letter in letters}.values())
    if not letters:
        raise NoSuchLetter(wanted, "there is no such dead letter, or it is older than the topic keeps them")
    if len(letters) > 1:
        ids = ", ".join(f"{each.partition}:{each.offset} ({each.key})" for each in letters)
        raise NoSuchLetter(wanted, f"there are several: {ids}")
    return letters[0], _replayed(settings, letters[0])


def _replayed(settings: KafkaSettings, letter: Letter) -> bool:
    with DeadLetterTopic(settings) as topic:
        marks = (each for each in topic.news(letter.at) if isinstance(each, Mark))
        return any(mark.key == letter.key and mark.stage == "done" for mark in marks)
