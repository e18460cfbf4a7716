"""What Kafka holds after the demo."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from inferwatch import topics
from inferwatch.wire import decode_inference, split_record
from processors.settings import KafkaSettings

_SECONDS: Final = 10.0


def mirrored(settings: KafkaSettings) -> Counter[str]:
    """Return how many events the inferences topic holds, by source. Reads all of it."""
    consumer = Consumer(
        {
            **settings.security,
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": f"inferwatch-demo-{uuid.uuid4()}",
            "enable.auto.commit": False,
        }
    )
    counts: Counter[str] = Counter()
    try:
        partitions = consumer.list_topics(topics.INFERENCES, timeout=_SECONDS).topics[topics.INFERENCES].partitions
        for partition in partitions:
            place = TopicPartition(topics.INFERENCES, partition)
            first, end = consumer.get_watermark_offsets(place, timeout=_SECONDS)
            consumer.assign([TopicPartition(topics.INFERENCES, partition, first)])
            while first < end:
                message = consumer.poll(_SECONDS)
                if message is None or message.error():
                    raise TimeoutError(f"{topics.INFERENCES}[{partition}] could not be read beyond offset {first}")
                first = (message.offset() or 0) + 1
                for index, line in split_record(message.value() or b""):
                    counts[decode_inference(line, index).source] += 1
    finally:
        consumer.close()
    return counts
