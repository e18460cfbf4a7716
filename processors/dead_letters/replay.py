"""Sends the bytes of dead letters back to where they came from, each once as far as Kafka allows.

Kafka has no "send if not sent yet", and the workers read what transactions gave up, so marks in the dead-letter topic
do it. For each handful of letters:

1. A mark `begun` for each, acknowledged.
2. Read what others marked meanwhile: of two that began, the first goes on, the other leaves the letter to it.
3. The bytes, each with a header that names its dead letter, acknowledged.
4. A mark `done` for each, acknowledged.

Killed between 1 and 4, the next replay finds `begun` without `done` and looks in the topic itself whether the bytes
with that header are there. A letter that someone began within the last minute is left alone, since its bytes may be
under way; so is one of which the topic does not go back far enough to tell. A replay that stood still for long between
2 and 3 gives up before it sends.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters.arrived import REPLAYED_FROM, RUN, arrived
from processors.dead_letters.browse import DeadLetterTopic, Wanted
from processors.dead_letters.errors import NotReplayed
from processors.dead_letters.letter import Letter, LetterKey, Mark, mark_headers
from processors.dead_letters.sender import HeaderPairs, Sender
from processors.dead_letters.trial import fails_because
from processors.settings import EnrichSettings, KafkaSettings
from processors.topic_reader import Span

UNDER_WAY_SECONDS: Final = 60.0
_STILL_SECONDS: Final = 20.0
_BATCH: Final = 500
_BATCH_BYTES: Final = 16 << 20

Fate = Literal["replayed", "would be replayed", "already replayed", "under way", "left out"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter; `why` says it in words where it was left out."""

    key: LetterKey
    fate: Fate
    why: str = ""


@dataclass(slots=True)
class _Known:
    """What marks say of letters, in the order of the topic."""

    done: set[LetterKey] = field(default_factory=set)
    begun: dict[LetterKey, list[Mark]] = field(default_factory=lambda: defaultdict(list))

    def note(self, mark: Mark) -> None:
        if mark.stage == "done":
            self.done.add(mark.key)
            self.begun.pop(mark.key, None)
        elif mark.key not in self.done:
            self.begun[mark.key].append(mark)


class Replay:
    """One replay of some letters. Use it with `with`; `find` comes first, `run` once."""

    def __init__(self, kafka: KafkaSettings, enrich: EnrichSettings, clock: Clock, *, anyway: bool = False) -> None:
        """Leave out what would become a dead letter again, unless `anyway`."""
        self._kafka = kafka
        self._enrich = enrich
        self._clock = clock
        self._anyway = anyway
        self._id = uuid.uuid4().hex
        self._topic = DeadLetterTopic(kafka)
        self._known = _Known()
        self._places: dict[LetterKey, tuple[int, int]] = {}

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self._topic.__exit__()

    def find(self, wanted: Wanted, ids: Sequence[str] = ()) -> int:
        """Return how many letters are wanted: those with these ids or, without ids, all that fit.

        Raises:
            TopicUnreadable: Kafka does not answer, or may not be read.
        """
        chosen = frozenset(ids)
        for entry in self._topic.news():
            if isinstance(entry, Mark):
                self._known.note(entry)
            elif not entry.foreign and (_is_one_of(entry, chosen) if chosen else wanted.fits(entry)):
                self._places.setdefault(entry.key, (entry.partition, entry.offset))
        return len(self._places)

    def absent(self, ids: Sequence[str]) -> list[str]:
        """Return those of the ids that nothing was found for."""
        names = {str(key) for key in self._places} | {f"{p}:{o}" for p, o in self._places.values()}
        return [each for each in ids if each not in names]

    def run(self, *, dry: bool = False) -> Iterator[Outcome]:
        """Replay what was found, or with `dry` only say what would become of it.

        Raises:
            NotReplayed: Kafka does not take it; run again, what arrived is not sent twice.
            TopicUnreadable: Kafka does not answer, or may not be read.
        """
        with Sender(self._kafka) as sender:
            yield from self._settle(sender, dry)
            batch: list[Letter] = []
            for letter in self._letters():
                outcome = self._verdict(letter)
                if outcome is not None:
                    yield outcome
                elif dry:
                    yield Outcome(letter.key, "would be replayed")
                else:
                    batch.append(letter)
                if len(batch) >= _BATCH or sum(len(each.value) for each in batch) >= _BATCH_BYTES:
                    yield from self._send(sender, batch)
                    batch = []
            yield from self._send(sender, batch)

    def _settle(self, sender: Sender, dry: bool) -> Iterator[Outcome]:
        """Find out what became of letters that an earlier replay began and did not end."""
        unsure = {key: marks for key, marks in self._known.begun.items() if key in self._places}
        there, told = arrived(self._kafka, unsure, UNDER_WAY_SECONDS)
        if not dry:
            sender.mark([(key.topic, mark_headers(key, "done", self._id)) for key in there])
        self._known.done |= there
        for key, marks in unsure.items():
            self._known.begun.pop(key)
            if key in there:
                continue
            if marks[-1].at > self._clock.now() - UNDER_WAY_SECONDS:
                self._places.pop(key)
                yield Outcome(key, "under way", "another replay began it less than a minute ago; try again then")
            elif key.topic not in told and not self._anyway:
                self._places.pop(key)
                yield Outcome(key, "left out", f"a replay may have sent it, and {key.topic} does not go back that far")

    def _letters(self) -> Iterator[Letter]:
        """Yield the letters found, with their bytes; those that were replayed too."""
        spans: dict[int, Span] = {}
        for partition, offset in self._places.values():
            span = spans.get(partition, Span(partition, offset, offset + 1))
            spans[partition] = Span(partition, min(span.first, offset), max(span.end, offset + 1))
        with DeadLetterTopic(self._kafka) as topic:
            for entry in topic.between(list(spans.values())):
                if isinstance(entry, Letter) and self._places.get(entry.key) == (entry.partition, entry.offset):
                    yield entry

    def _verdict(self, letter: Letter) -> Outcome | None:
        if letter.key in self._known.done:
            return Outcome(letter.key, "already replayed")
        if len(letter.value) < letter.size:
            return Outcome(letter.key, "left out", f"only {len(letter.value)} of its {letter.size} bytes were kept")
        if not letter.value.strip():
            return Outcome(letter.key, "left out", "there is nothing in it")
        if not self._anyway and letter.key.topic == topics.INFERENCES:
            reason = fails_because(letter.value, self._enrich, self._clock.now())
            if reason is not None:
                return Outcome(letter.key, "left out", f"it would fail again: {reason}")
        return None

    def _send(self, sender: Sender, batch: Sequence[Letter]) -> Iterator[Outcome]:
        began = self._clock.elapsed()
        sender.mark([(each.key.topic, mark_headers(each.key, "begun", self._id)) for each in batch])  # 1
        for entry in self._topic.news():  # 2
            if isinstance(entry, Mark):
                self._known.note(entry)
        ours = []
        for letter in batch:
            first = self._known.begun.get(letter.key)
            if letter.key in self._known.done:
                yield Outcome(letter.key, "already replayed")
            elif first and first[0].run != self._id:
                yield Outcome(letter.key, "under way", "another replay began it at the same time")
            else:
                ours.append(letter)
        if self._clock.elapsed() - began > _STILL_SECONDS:
            raise NotReplayed(topics.DEAD_LETTERS, f"this machine stood still for more than {_STILL_SECONDS:g} seconds")
        for letter in ours:
            headers: HeaderPairs = [(REPLAYED_FROM, str(letter.key)), (RUN, self._id)]
            sender.give(letter.key.topic, letter.key.partition, letter.value, headers)
        sender.wait()  # 3
        sender.mark([(each.key.topic, mark_headers(each.key, "done", self._id)) for each in ours])  # 4
        yield from (Outcome(each.key, "replayed") for each in ours)


def _is_one_of(letter: Letter, ids: frozenset[str]) -> bool:
    return str(letter.key) in ids or f"{letter.partition}:{letter.offset}" in ids
