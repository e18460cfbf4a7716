"""The whole verification, on a system that goes on working: it only looks."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Final

from inferwatch import topics
from inferwatch.clock import Clock
from processors.admin import topic_ids
from processors.dead_letters.browse import DeadLetterTopic
from processors.dead_letters.letter import Letter
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, Span, TopicReader, seconds_of
from processors.verify.bounds import Bounds, bounds_of
from processors.verify.compare import ComparedRange
from processors.verify.count import Range, RangeCounter
from processors.verify.dead import DeadCollector
from processors.verify.narrow import narrow
from processors.verify.options import Say, VerifyOptions
from processors.verify.report import HourCount, Report
from processors.verify.rollups import DAY, FOR_EVER_DAYS, compare_rollups
from storage.client import StoreSettings
from storage.verify import Ledger, RowSum, opened_ledger

_SAY_SECONDS: Final = 2.0


def verify(kafka: KafkaSettings, store: StoreSettings, options: VerifyOptions, clock: Clock, say: Say) -> Report:
    """Compare Kafka with rows, and rows with rollups. `say` is told about the progress.

    Memory is bounded by the number of ranges, see `processors.verify.count`, and of dead letters, 16 bytes each.

    Raises:
        TopicUnreadable, TopicsNotReady: Kafka does not answer, or there is no such topic.
        StoreUnavailable, StoreRefused: the store does not answer, or has no such tables.
    """
    with opened_ledger(store) as ledger, TopicReader(kafka, topics.INFERENCES) as reader:
        reader.partitions()  # says best what is wrong where nothing answers
        topic_id = topic_ids(kafka)[topics.INFERENCES]
        return _Verification(kafka, ledger, reader, options, clock, say, topic_id).report()


class _Verification:
    def __init__(
        self,
        kafka: KafkaSettings,
        ledger: Ledger,
        reader: TopicReader,
        options: VerifyOptions,
        clock: Clock,
        say: Say,
        topic_id: str,
    ) -> None:
        self._kafka = kafka
        self._ledger = ledger
        self._reader = reader
        self._options = options
        self._clock = clock
        self._say = say
        self._topic_id = topic_id
        self._dead = DeadCollector(topics.INFERENCES, topic_id)
        self._prefixes: dict[int, int] = {}

    def report(self) -> Report:
        bounds = self._bounds()
        self._prefixes = self._ledger.prefixes(self._topic_id, [each.partition for each in bounds])
        self._collect_dead()
        began = time.monotonic()
        ranges = self._count(bounds)
        seconds = time.monotonic() - began
        compared = [each for partition in bounds for each in self._compare(ranges[partition.partition])]
        judged = self._judged(compared)
        differing = [each for each in judged if not each.agrees]
        found = narrow(differing, self._reader, self._ledger, self._topic_id, self._dead, self._options.most, self._say)
        outside = self._ledger.not_in(self._topic_id, {each.partition: each.low for each in bounds})
        since = None if self._options.since is None else dt.datetime.fromtimestamp(self._options.since, dt.UTC)
        repeated_ids, repeated = self._ledger.repeated_events(since, self._options.most)
        return Report(
            topic=topics.INFERENCES,
            topic_id=self._topic_id,
            bounds=bounds,
            hours=_by_hour(compared),
            found=found,
            forgotten=sum(rows for partition, rows in outside.items() if partition >= 0),
            older_topics=outside.get(-1, 0),
            unjudged=_offsets(compared) - _offsets(judged),
            repeated_ids=repeated_ids,
            repeated=repeated,
            rollups=compare_rollups(self._ledger, self._options, self._clock, self._say),
            late_seconds=self._options.late_seconds,
            read_seconds=seconds,
            at=dt.datetime.fromtimestamp(self._clock.now(), dt.UTC),
        )

    def _bounds(self) -> list[Bounds]:
        stored = self._ledger.positions(self._topic_id)
        partitions = self._reader.partitions()
        committed = self._reader.committed(self._options.group, partitions)
        whole = self._reader.whole()
        since, until = self._options.since, self._options.until
        return bounds_of(
            whole,
            stored,
            committed,
            None if since is None else self._reader.offsets_at(since, partitions),
            None if until is None else self._reader.offsets_at(until, partitions),
        )

    def _collect_dead(self) -> None:
        with DeadLetterTopic(self._kafka) as topic:
            for entry in topic.news():
                if isinstance(entry, Letter):
                    self._dead.add(entry.key)

    def _count(self, bounds: Sequence[Bounds]) -> dict[int, list[Range]]:
        counters = {
            each.partition: RangeCounter(each.partition, each.first, self._prefixes[each.partition]) for each in bounds
        }
        spans = [Span(each.partition, each.first, min(each.end, each.high)) for each in bounds]
        progress = _Progress(self._say, sum(max(0, span.end - span.first) for span in spans))
        for messages in self._reader.read(spans):
            if isinstance(messages, Removed):
                counters[messages.span.partition].removed(messages.span.first, messages.span.end)
                continue
            for message in messages:
                counters[message.partition() or 0].add(message.offset() or 0, seconds_of(message), message.value())
            progress.more(len(messages))
        return {each.partition: counters[each.partition].finished(each.end) for each in bounds}

    def _compare(self, ranges: Sequence[Range]) -> Iterator[ComparedRange]:
        if not ranges:
            return
        partition = ranges[0].partition
        self._say(f"counting rows of partition {partition}")
        dead = self._dead.collected(partition)
        rows = self._ledger.sums(self._topic_id, partition, [each.first for each in ranges], ranges[-1].end)
        for each in ranges:
            stored = rows.get(each.first, RowSum())
            letters, fingerprint = dead.sums(each.first, each.end, self._prefixes[partition])
            yield ComparedRange(each, letters, fingerprint, stored.rows, stored.fingerprint)

    def _judged(self, compared: Sequence[ComparedRange]) -> list[ComparedRange]:
        """Leave out what Kafka forgot while it was read, and what the store forgets by its own rule."""
        kept = self._ledger.days_kept("inferences") or FOR_EVER_DAYS
        oldest = self._clock.now() - (kept - 1) * DAY
        there = (each for each in compared if each.range.records is not None)
        return [each for each in there if each.range.hour is None or each.range.hour >= oldest]


def _by_hour(compared: Sequence[ComparedRange]) -> list[HourCount]:
    hours: dict[tuple[int, int], HourCount] = {}
    for each in compared:
        if each.range.records is None:
            continue
        partition, hour = each.range.partition, each.range.hour
        count = hours.setdefault((partition, -1 if hour is None else hour), HourCount(partition, hour))
        count.records += each.range.records
        count.events += each.range.events
        count.dead += each.dead
        count.rows += each.rows
        count.ranges_differ += not each.agrees
    return [hours[key] for key in sorted(hours)]


def _offsets(compared: Sequence[ComparedRange]) -> int:
    return sum(each.range.end - each.range.first for each in compared)


class _Progress:
    def __init__(self, say: Say, expected: int) -> None:
        self._say = say
        self._expected = max(1, expected)
        self._done = 0
        self._began = self._said = time.monotonic()

    def more(self, records: int) -> None:
        self._done += records
        now = time.monotonic()
        if now - self._said > _SAY_SECONDS:
            self._said = now
            rate = self._done / (now - self._began)
            self._say(
                f"read {self._done:,} of about {self._expected:,} records"
                f" ({min(1.0, self._done / self._expected):.0%}, {rate:,.0f} a second)"
            )
