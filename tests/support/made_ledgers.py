"""Kafka records with poison among them, and the rows, dead letters and rollups that they should come to."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from inferwatch import new_event_id, topics
from inferwatch.clock import SystemClock
from processors.admin import ensure_topics, topic_ids
from processors.dead_letters import dead_letter
from processors.settings import KafkaSettings
from storage.client import StoreSettings, connect
from storage.migrate import migrate
from storage.rollups import Rollups
from tests.support.store_rows import INFERENCE, columns
from tests.support.waiting import wait_for

Place = tuple[int, int, int]
"""Partition, offset, line."""


@dataclass
class MadeLedger:
    """What was produced, and the means to spoil what came of it."""

    kafka: KafkaSettings
    store: StoreSettings
    topic_id: str = ""
    good: dict[Place, dict[str, Any]] = field(default_factory=dict)
    dead: dict[Place, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ensure_topics(self.kafka)
        migrate(self.store)
        self.topic_id = topic_ids(self.kafka)[topics.INFERENCES]

    def produce(self, partition: int, lines: Sequence[bytes], at: float | None = None) -> int:
        """Produce one record to a partition; return its offset. `at` is its time, in Unix seconds."""
        return produce(self.kafka, topics.INFERENCES, partition, [b"\n".join(lines)], at)[0]

    def traffic(self, partition: int, records: int, *, events: int = 3, at: float | None = None) -> None:
        """Produce records with good lines, one bad and one blank line each, and note what they should come to."""
        bad = b'{"event_id": tr'
        values = [[event_line() for _ in range(events)] for _ in range(records)]
        written = [b"\n".join([*lines[:1], b"  ", *lines[1:], bad]) for lines in values]
        offsets = produce(self.kafka, topics.INFERENCES, partition, written, at)
        for offset, lines in zip(offsets, values, strict=True):
            for number, line in enumerate(lines):
                self.good[partition, offset, number + (number > 0)] = json.loads(line)
            self.dead[partition, offset, events + 1] = bad

    def settle(self) -> None:
        """Write dead letters (twice), rows and rollups of everything that was noted and is not there yet."""
        letters = [
            dead_letter(value, "not JSON: DecodeError", topics.INFERENCES, *place, topic_id=self.topic_id)
            for place, value in self.dead.items()
        ]
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers})
        for letter in (*letters, *letters):
            producer.produce(letter.topic, letter.value, key=letter.key, headers=list(letter.headers))
            producer.poll(0)
        assert producer.flush(30) == 0
        self.insert(self.good)
        self.good, self.dead = {}, {}
        self.roll()

    def insert(self, rows: Mapping[Place, Mapping[str, Any]], arrived: dt.datetime | None = None) -> None:
        """Insert rows of events at places."""
        now = arrived or dt.datetime.now(dt.UTC)
        full = [
            {
                **INFERENCE,
                "event_id": event["event_id"],
                "started_at": dt.datetime.fromtimestamp(event["started_at"], dt.UTC),
                "ingested_at": now,
                "input_tokens": 7,
                "output_tokens": 3,
                "pii": [("EMAIL_ADDRESS", "input", 2)] if place[1] % 2 else [],
                "source_topic_id": self.topic_id,
                "source_partition": place[0],
                "source_offset": place[1],
                "source_index": place[2],
            }
            for place, event in rows.items()
        ]
        made = columns(full)
        with opened(self.store) as client:
            client.insert("inferences", list(made.values()), column_names=list(made), column_oriented=True)

    def roll(self) -> None:
        """Let rollups follow the rows."""
        rollups = Rollups(self.store, SystemClock())
        while any(step.more or step.rows for step in rollups.advance().values()):
            pass
        rollups.close()

    def spoil(self, statement: str, **parameters: Any) -> None:
        """Run a statement that makes something wrong."""
        with opened(self.store) as client:
            client.command(statement, parameters, settings={"mutations_sync": 2})


class opened:
    """A client of a store for a while."""

    def __init__(self, store: StoreSettings) -> None:
        self.client = connect(store)

    def __enter__(self) -> Client:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


def produce(
    kafka: KafkaSettings,
    topic: str,
    partition: int,
    values: Iterable[bytes | None],
    at: float | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> list[int]:
    """Produce records to one partition; return their offsets."""
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 5, "message.max.bytes": 16 << 20})

    def delivered(error: object, message: Any) -> None:
        assert error is None, error
        offsets.append(message.offset())

    for value in values:
        producer.produce(
            topic,
            value,
            partition=partition,
            headers=list(headers),
            on_delivery=delivered,
            timestamp=int((at or time.time()) * 1000),
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    return offsets


def event_line(event_id: str | None = None, **fields: Any) -> bytes:
    """Return a valid event as a line."""
    event = {
        "event_id": event_id or new_event_id(),
        "started_at": time.time() - 5,
        "duration": 0.5,
        "source": "sdk",
        "request_model": "smollm2",
    }
    return json.dumps({**event, **fields}).encode()


def without_topics(kafka: KafkaSettings, *names: str) -> None:
    """Delete topics that are there, and wait until they are gone."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    present = [name for name in names if name in admin.list_topics(timeout=30).topics]
    if present:
        for outcome in admin.delete_topics(present).values():
            outcome.result(30)
    wait_for(lambda: not set(names) & set(admin.list_topics(timeout=30).topics), f"{names} to be gone")
