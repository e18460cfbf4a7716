"""Records to Kafka through librdkafka, acknowledged on the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from inferwatch.seldom import Seldom
from inferwatch.transport import Record
from ingest.collector.metrics import Counters
from ingest.collector.outlet import Delivery
from ingest.collector.settings import CollectorSettings

log: Final = logging.getLogger("inferwatch.collector.kafka")
log.addFilter(Seldom())

_QUEUED_RECORDS: Final = 100_000
_POLL_SECONDS: Final = 0.1


class KafkaOutlet:
    """An idempotent producer: librdkafka's own retries repeat nothing, and keep the order.

    librdkafka runs delivery callbacks inside `poll`; one thread does nothing else and hands them to the loop, all that
    came together in one call. `failed` is told when the producer has failed for good.
    """

    def __init__(self, settings: CollectorSettings, counters: Counters, failed: Callable[[str], None]) -> None:
        self._counters = counters
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._settled: list[Callable[[], None]] = []
        self._closing = threading.Event()
        self._closing_seconds = 0.0
        self._producer = Producer(
            {
                "client.id": "inferwatch-collector",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "queue.buffering.max.messages": _QUEUED_RECORDS,
                # What may be held is bounded by `in_flight_bytes`; here it is only not to be less.
                "queue.buffering.max.kbytes": max(1 << 10, 2 * settings.in_flight_bytes >> 10),
                "message.max.bytes": 16 << 20,
                "log.connection.close": False,
                **settings.security,
                "bootstrap.servers": settings.bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": int(settings.delivery_seconds * 1000) or 1,
                "error_cb": self._error,
            },
            logger=log,
        )
        self._thread = threading.Thread(target=self._poll, name="kafka-outlet", daemon=True)
        self._thread.start()

    def send(self, records: Sequence[Record], delivery: Delivery) -> None:
        """Queue records; one that the queue does not take has failed at once."""
        delivery.begin(records)
        for record in records:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, on_delivery=self._delivered(record, delivery)
                )
            except BufferError:
                self._fail(record, delivery, "the queue is full")
            except KafkaException as error:
                self._fail(record, delivery, error.args[0].name())

    async def reachable(self, seconds: float) -> bool:
        """Whether a broker tells its metadata."""
        try:
            await asyncio.to_thread(self._producer.list_topics, timeout=seconds)
        except KafkaException:
            return False
        return True

    async def close(self, seconds: float) -> None:
        """Wait for acknowledgements, let the rest fail, end the thread."""
        self._closing_seconds = seconds
        self._closing.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._producer.close)

    def _delivered(self, record: Record, delivery: Delivery) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self._settled.append(lambda: self._acknowledge(delivery))
            else:
                reason = error.name()
                self._settled.append(lambda: self._fail(record, delivery, reason))

        return delivered

    def _acknowledge(self, delivery: Delivery) -> None:
        self._counters.add("inferwatch_collector_acknowledged_records_total")
        delivery.acknowledged()

    def _fail(self, record: Record, delivery: Delivery, reason: str) -> None:
        self._counters.add("inferwatch_collector_failed_records_total")
        delivery.fail(record, reason)

    def _poll(self) -> None:
        """The thread's body: nobody else polls or flushes, so callbacks run here only."""
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)
            self._hand_over()
        self._producer.flush(self._closing_seconds)
        self._producer.purge(in_queue=True, in_flight=True)
        self._producer.flush(_POLL_SECONDS)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._settled:
            settled, self._settled = self._settled, []
            self._loop.call_soon_threadsafe(_call_all, settled)

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            self._loop.call_soon_threadsafe(self._failed, error.str())
        else:
            log.warning("Kafka: %s", error.str())


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
