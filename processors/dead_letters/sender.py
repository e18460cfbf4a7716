"""Records to Kafka from a command that waits for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from inferwatch import topics
from processors.dead_letters.errors import NotReplayed
from processors.settings import KafkaSettings

HeaderPairs = list[tuple[str, str | bytes | None]]

_SECONDS: Final = 30.0
_ANY_PARTITION: Final = -1


class Sender:
    """Sends bytes back and marks to the dead-letter topic. Use it with `with`."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Nothing is asked of Kafka yet."""
        self._producer = Producer(
            {
                "compression.type": "lz4",
                # Marks have to land in the partition of their letters: only there is an order between them.
                "partitioner": "murmur2_random",
                "message.max.bytes": 16 << 20,
                "log_level": 0,
                **settings.security,
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,
                "message.timeout.ms": int(_SECONDS * 1000),
            }
        )
        self._partitions: dict[str, int] = {}
        self._waiting = 0
        self._failed: list[NotReplayed] = []

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush(1.0)

    def give(self, topic: str, partition: int, value: bytes, headers: HeaderPairs) -> None:
        """Send bytes to a partition of a topic, or to any where it has no such partition any more."""
        self._produce(topic, partition if partition < self._count(topic) else _ANY_PARTITION, None, value, headers)

    def mark(self, marks: Sequence[tuple[str, HeaderPairs]]) -> None:
        """Send marks, each with its letter's topic, and wait for all. Raises `NotReplayed`."""
        for key, headers in marks:
            self._produce(topics.DEAD_LETTERS, _ANY_PARTITION, key, None, headers)
        self.wait()

    def wait(self) -> None:
        """Wait until everything is acknowledged. Raises `NotReplayed`."""
        deadline = time.monotonic() + _SECONDS + 5
        while self._waiting and time.monotonic() < deadline:
            self._producer.flush(0.5)
        if self._failed:
            raise self._failed.pop()
        if self._waiting:
            raise NotReplayed(topics.DEAD_LETTERS, f"no answer for {_SECONDS:g} seconds")

    def _produce(self, topic: str, partition: int, key: str | None, value: bytes | None, headers: HeaderPairs) -> None:
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=key, partition=partition, headers=headers, on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise NotReplayed(topic, error.args[0].str()) from error
            else:
                self._waiting += 1
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._waiting -= 1
        if error is not None:
            self._failed.append(NotReplayed(str(message.topic()), error.str()))

    def _count(self, topic: str) -> int:
        if topic not in self._partitions:
            try:
                found = self._producer.list_topics(topic, timeout=_SECONDS).topics[topic]
            except KafkaException as error:
                raise NotReplayed(topic, error.args[0].str()) from error
            if found.error is not None:
                raise NotReplayed(topic, found.error.str())
            self._partitions[topic] = len(found.partitions)
        return self._partitions[topic]
