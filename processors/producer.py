"""Records to Kafka from a processor: given out together, acknowledged together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processors.errors import DeliveryFailed
from processors.settings import KafkaSettings

_ACKNOWLEDGED_WITHIN: Final = 30.0

Delivered = Callable[[KafkaError | None, Message], None]


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to be sent."""

    topic: str
    value: bytes
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())


class RecordProducer(Protocol):
    """Sends records. Returns once all brokers in sync have all of them; raises `DeliveryFailed` otherwise."""

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send records; they keep their order within a key."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class KafkaProducer:
    """An idempotent librdkafka producer. Keys land in the partitions where Faust and the Java client put them."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = Producer(
            {
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": 2,
                "message.max.bytes": 16 << 20,
                "log.connection.close": False,
                **settings.security,
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,
                "message.timeout.ms": int(_ACKNOWLEDGED_WITHIN * 1000),
            }
        )
        # librdkafka runs delivery callbacks in whatever thread polls: one batch at a time keeps them apart.
        self._one_at_a_time = asyncio.Lock()

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send records and wait until they are acknowledged."""
        if records:
            async with self._one_at_a_time:
                await asyncio.to_thread(self._send, records)

    async def close(self) -> None:
        """Wait shortly for what is under way."""
        await asyncio.to_thread(self._producer.flush, 2.0)

    def _send(self, records: Sequence[OutgoingRecord]) -> None:
        waiting = len(records)
        failed: list[DeliveryFailed] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            nonlocal waiting
            waiting -= 1
            if error is not None:
                failed.append(DeliveryFailed(str(message.topic()), error.name()))

        for record in records:
            self._produce(record, delivered)
        deadline = time.monotonic() + _ACKNOWLEDGED_WITHIN + 5
        while waiting and time.monotonic() < deadline:
            self._producer.flush(0.5)
        if failed:
            raise failed[0]
        if waiting:
            raise DeliveryFailed(records[0].topic, f"no answer for {_ACKNOWLEDGED_WITHIN:g} seconds")

    def _produce(self, record: OutgoingRecord, delivered: Delivered) -> None:
        while True:
            try:
                return self._producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise DeliveryFailed(record.topic, error.args[0].name()) from error


class MemoryProducer:
    """Keeps records in a list: the producer of unit tests."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Keep the records."""
        self.records.extend(records)

    async def close(self) -> None:
        """Nothing to release."""
