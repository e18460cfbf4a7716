"""From ranges that differ to the exact places, which are read once more from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processors.topic_reader import Removed, Span, TopicReader
from processors.verify.compare import ComparedRange, Place, Run, runs
from processors.verify.count import Range, lines_of
from processors.verify.dead import DeadCollector
from processors.verify.options import Say
from storage.verify import Ledger


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Places that differ, in stretches; how many stretches were found beside those; ranges not looked at closely."""

    runs: tuple[Run, ...]
    more_runs: int
    more_ranges: int


def narrow(
    differing: Sequence[ComparedRange],
    reader: TopicReader,
    ledger: Ledger,
    topic_id: str,
    dead: DeadCollector,
    most: int,
    say: Say,
) -> Narrowed:
    """Look closely at ranges until `most` stretches that differ are found.

    Raises:
        TopicUnreadable, StoreUnavailable, StoreRefused: one of the two sides does not answer.
    """
    wrong: list[Run] = []
    harmless: list[Run] = []
    left = len(differing)
    for each in differing:
        if len(wrong) >= most:
            break
        left -= 1
        of = each.range
        say(f"looking closely at partition {of.partition}, from offset {of.first} on")
        kafka = _places(reader, of)
        if kafka is None:
            continue
        letters = dead.collected(of.partition).places(of.first, of.end)
        found = list(runs(of.partition, kafka, letters, ledger.places(topic_id, of.partition, of.first, of.end)))
        wrong += (run for run in found if run.wrong)
        harmless = [*harmless, *(run for run in found if not run.wrong)][:most]
    listed = sorted([*wrong[:most], *harmless], key=lambda run: (run.partition, run.first))
    return Narrowed(tuple(listed), max(0, len(wrong) - most), left)


def _places(reader: TopicReader, range: Range) -> list[Place] | None:
    """Return the places of a range in Kafka; None where retention has removed some by now."""
    places: list[Place] = []
    for messages in reader.read([Span(range.partition, range.first, range.end)]):
        if isinstance(messages, Removed):
            return None
        for message in messages:
            places += ((message.offset() or 0, line) for line in lines_of(message.value()))
    return places
