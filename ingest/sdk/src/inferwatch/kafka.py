"""Records to Kafka through librdkafka."""

from __future__ import annotations

import logging
import time
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from inferwatch.seldom import Seldom
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Record, Report

log: Final = logging.getLogger("inferwatch.kafka")
# An application that has not set up logging is not to find librdkafka's words on its standard error.
log.addHandler(logging.NullHandler())
log.addFilter(Seldom())

_QUEUED_RECORDS: Final = 1_000
_QUEUED_KILOBYTES: Final = 32 << 10
_LINGER_MILLISECONDS: Final = 5
_UNACKNOWLEDGED: Final = "not acknowledged before the end"
_REASONS: Final = {
    "_MSG_TIMED_OUT": "not acknowledged in time: does a broker answer?",
    "_PURGE_QUEUE": _UNACKNOWLEDGED,
    "_PURGE_INFLIGHT": _UNACKNOWLEDGED,
}
"""Words for what librdkafka has only names for."""


class KafkaTransport:
    """Sends records with an idempotent producer, so that librdkafka's own retries repeat nothing.

    librdkafka runs delivery callbacks only inside `poll` and `flush`; one thread calls all methods.
    """

    def __init__(self, settings: MirrorSettings, report: Report) -> None:
        self._report = report
        self._unreported: set[Record] = set()
        self._producer = Producer(
            {
                "client.id": f"inferwatch-sdk-{settings.service or 'app'}",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": _LINGER_MILLISECONDS,
                "queue.buffering.max.messages": _QUEUED_RECORDS,
                "queue.buffering.max.kbytes": _QUEUED_KILOBYTES,
                "message.max.bytes": 16 << 20,
                "log.connection.close": False,
                **settings.kafka,
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,
                "message.timeout.ms": max(int(settings.delivery_timeout * 1000), _LINGER_MILLISECONDS + 1),
            },
            logger=log,
        )

    def send(self, record: Record) -> None:
        """Queue a record. Raises `BufferError` when librdkafka's queue is full."""

        def delivered(error: KafkaError | None, _message: Message) -> None:
            self._unreported.discard(record)
            self._report(record, None if error is None else _REASONS.get(error.name(), error.name()))

        self._producer.produce(record.topic, value=record.value, key=record.key, on_delivery=delivered)
        self._unreported.add(record)

    def poll(self, timeout: float) -> None:
        """Run delivery callbacks."""
        self._producer.poll(timeout)

    def close(self, timeout: float) -> None:
        """Wait for acknowledgements, then report what is left as lost."""
        deadline = time.monotonic() + timeout
        while self._unreported and (left := deadline - time.monotonic()) > 0:
            self._producer.flush(min(left, 0.2))
        if self._unreported:
            self._producer.purge(in_queue=True, in_flight=True)
            self._producer.flush(0.2)
        while self._unreported:
            self._report(self._unreported.pop(), _UNACKNOWLEDGED)
