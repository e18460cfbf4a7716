"""Reads spans of a topic by partition: no group, no commits, bounded memory. For looking, never for processing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from processors.errors import TopicUnreadable
from processors.settings import KafkaSettings

T = TypeVar("T")

_MESSAGES: Final = 5_000
_GATHER: Final = 0.1
_BYTES: Final = 16 << 20
_FEWEST: Final = 10
_QUEUED_KILOBYTES: Final = 32 << 10
_SECONDS: Final = 15.0
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.2
_NOT_READY: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)
_MAY_PASS: Final = (
    *_NOT_READY,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    # A topic that was made a moment ago.
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition, from `first` up to and without `end`."""

    partition: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A part of a span that retention took away before it was read."""

    span: Span


class TopicReader:
    """Reads one topic. All methods block and raise `TopicUnreadable`. Close it, or use it with `with`."""

    def __init__(self, settings: KafkaSettings, topic: str, patience: float = _PATIENCE) -> None:
        """Wait up to `patience` seconds for a broker that says nothing."""
        self.topic = topic
        self._servers = settings.bootstrap_servers
        self._patience = patience
        self._base = {**settings.security, "bootstrap.servers": settings.bootstrap_servers, "log_level": 0}
        self._consumer = Consumer(
            {
                **self._base,
                # A consumer has to have a group; without a subscription and without commits nobody ever hears of it.
                "group.id": "inferwatch-look",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # What retention removed has to be told apart from what was never there.
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                # As the workers read: they know nothing of transactions.
                "isolation.level": "read_uncommitted",
                "queued.max.messages.kbytes": _QUEUED_KILOBYTES,
                # There topics appear with their first use; elsewhere looking makes nothing.
                "allow.auto.create.topics": settings.embedded,
            }
        )

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections."""
        self._consumer.close()

    def whole(self) -> list[Span]:
        """Return what is in each partition now."""
        return [Span(partition, *self._watermarks(partition)) for partition in self.partitions()]

    def partitions(self) -> list[int]:
        """Return the partitions there are."""
        found = self._asked(lambda: self._consumer.list_topics(self.topic, timeout=_SECONDS).topics[self.topic])
        if found.error is not None:
            raise TopicUnreadable(self.topic, self._servers, str(found.error.str()))
        return sorted(found.partitions)

    def offsets_at(self, at: float, partitions: Sequence[int]) -> dict[int, int]:
        """Return the first offset of each partition whose record is not older than `at`, in Unix seconds.

        Partitions without such a record are left out.
        """
        asked = [TopicPartition(self.topic, partition, int(at * 1000)) for partition in partitions]
        found = self._asked(lambda: self._consumer.offsets_for_times(asked, timeout=_SECONDS))
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def committed(self, group: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset at which a consumer group would go on, of each partition where it ever committed."""
        consumer = Consumer({**self._base, "group.id": group, "enable.auto.commit": False})
        asked = [TopicPartition(self.topic, each) for each in partitions]
        try:
            found = self._asked(lambda: consumer.committed(asked, timeout=_SECONDS))
        finally:
            consumer.close()
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def read(self, spans: Sequence[Span]) -> Iterator[list[Message] | Removed]:
        """Yield the records of spans, at most one span a partition, in the order of each partition.

        Offsets without a record (of transactions, or compacted away) are passed over.
        """
        ends = {span.partition: span.end for span in spans if span.first < span.end}
        places = {span.partition: span.first for span in spans if span.partition in ends}
        self._consumer.assign([TopicPartition(self.topic, each, place) for each, place in places.items()])
        last_heard = time.monotonic()
        most = _FEWEST
        while ends:
            for found in self._sorted_out(self._consumer.consume(most, _GATHER), places, ends):
                yield found
                if not isinstance(found, Removed):
                    # Records may be of any size: as many at once as are a bounded number of bytes.
                    size = sum(map(len, found)) // max(1, len(found))
                    most = max(_FEWEST, min(_MESSAGES, _BYTES // max(1, size)))
                # Where the caller took long, the broker is not to blame.
                last_heard = time.monotonic()
            if time.monotonic() - last_heard > self._patience:
                reason = f"nothing came for {self._patience:g} seconds"
                raise TopicUnreadable(self.topic, self._servers, reason)

    def _sorted_out(
        self, messages: Sequence[Message], places: dict[int, int], ends: dict[int, int]
    ) -> Iterator[list[Message] | Removed]:
        good: list[Message] = []
        for message in messages:
            partition, offset, error = _where(message)
            if partition not in ends:
                continue
            if error is None:
                if offset < ends[partition]:
                    good.append(message)
                places[partition] = offset + 1
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                yield good
                good = []
                yield self._jump(partition, places, ends)
            elif error.code() == KafkaError._PARTITION_EOF:
                places[partition] = ends[partition]
            elif error.code() not in _MAY_PASS:
                raise TopicUnreadable(self.topic, self._servers, error.str())
            if places[partition] >= ends[partition]:
                del ends[partition]
                self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])
        if good:
            yield good

    def _jump(self, partition: int, places: dict[int, int], ends: Mapping[int, int]) -> Removed:
        low, _ = self._watermarks(partition)
        removed = Span(partition, places[partition], min(low, ends[partition]))
        places[partition] = max(places[partition], low)
        if places[partition] < ends[partition]:
            self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])
            self._consumer.incremental_assign([TopicPartition(self.topic, partition, places[partition])])
        return Removed(removed)

    def _watermarks(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self.topic, partition)
        found = self._asked(lambda: self._consumer.get_watermark_offsets(place, timeout=_SECONDS))
        if found is None:
            raise TopicUnreadable(self.topic, self._servers, f"no answer for {_SECONDS:g} seconds")
        low, high = found
        return (max(low, 0), max(high, 0))

    def _asked(self, question: Callable[[], T]) -> T:
        """Return the answer to a question, asked again while a broker only says that it is not ready."""
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                return question()
            except KafkaException as error:
                cause = error.args[0]
                if (not cause.retriable() and cause.code() not in _NOT_READY) or time.monotonic() > deadline:
                    raise TopicUnreadable(self.topic, self._servers, str(cause.str())) from error
                time.sleep(_PAUSE)


def headers_of(message: Message) -> dict[str, str]:
    """Return headers as text; the last one of a name counts, as in Kafka's own clients."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return {name: _text(value) for name, value in pairs}


def _text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else (value or b"").decode("utf-8", "replace")


def seconds_of(message: Message) -> float | None:
    """Return the time of a record in Unix seconds, or None where it has none."""
    kind, milliseconds = message.timestamp()
    return milliseconds / 1000 if kind and milliseconds >= 0 else None


def _where(message: Message) -> tuple[int, int, KafkaError | None]:
    partition, offset = message.partition(), message.offset()
    return (-1 if partition is None else partition, OFFSET_INVALID if offset is None else offset, message.error())
