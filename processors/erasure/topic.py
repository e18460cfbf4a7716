"""Removing records from one topic. Kafka removes only from the beginning: everything before an offset, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from processors.erasure.errors import TopicNotErased
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, TopicReader, headers_of
from storage.erasure.report import Found

_SECONDS: Final = 30.0

Matches = Callable[[bytes], bool]


@dataclass(slots=True)
class Scan:
    """What one look at a topic came to.

    Attributes:
        records: how many there are.
        found: how many of them hold something of the subject.
        behind: by partition, the offset behind the last of those.
    """

    topic: str
    records: int = 0
    found: int = 0
    behind: dict[int, int] = field(default_factory=dict)

    def as_found(self) -> Found:
        """Return it for a report."""
        return Found(f"topic {self.topic}", self.records, "records", self.found)


def scan(kafka: KafkaSettings, topic: str, matches: Matches, alive: Callable[[], None]) -> Scan:
    """Look at every record that a topic has now: its value, its key and its headers.

    Raises:
        TopicUnreadable: Kafka does not answer.
    """
    outcome = Scan(topic)
    with TopicReader(kafka, topic) as reader:
        for messages in reader.read(reader.whole()):
            if isinstance(messages, Removed):
                continue
            alive()
            for message in messages:
                outcome.records += 1
                if is_of_subject(message, matches):
                    outcome.found += 1
                    partition, offset = message.partition() or 0, message.offset() or 0
                    outcome.behind[partition] = max(outcome.behind.get(partition, 0), offset + 1)
    return outcome


def is_of_subject(message: Message, matches: Matches) -> bool:
    """Tell whether a record holds something of the subject."""
    headers = "\n".join(headers_of(message).values()).encode()
    return matches(message.value() or b"") or matches(_bytes(message.key())) or matches(headers)


def remove_before(kafka: KafkaSettings, topic: str, offsets: Mapping[int, int]) -> None:
    """Remove all records before an offset of each partition. They cannot be read any more when it returns.

    Kafka deletes their bytes with the segment that they are in: within `segment.ms` (an hour) of the next record, and
    the few minutes that brokers take to look.

    Raises:
        TopicNotErased: Kafka refuses, or does not know how.
    """
    if not offsets:
        return
    admin = AdminClient({**kafka.security, "bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    wanted = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    try:
        for outcome in admin.delete_records(wanted, request_timeout=_SECONDS, operation_timeout=_SECONDS).values():
            outcome.result(timeout=_SECONDS)
    except KafkaException as error:
        raise TopicNotErased(topic, str(error.args[0].str())) from error
    except TimeoutError as error:
        raise TopicNotErased(topic, f"no answer for {_SECONDS:g} seconds") from error


def _bytes(key: str | bytes | None) -> bytes:
    return key.encode() if isinstance(key, str) else key or b""
