"""A broker and a store with something of a user in every place, beside others' things, for tests of erasing."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from inferwatch import topics
from inferwatch.clock import SystemClock
from processors.enrich.mask import keyed_hash
from processors.erasure import EraseSettings, Erasure, ErasureReport
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, TopicReader, headers_of
from storage import audit
from storage.client import StoreSettings
from storage.erasure import Kind
from storage.erasure.tables import shape_of
from storage.rollups import Rollups
from storage.state import ClickHouseStateStore, SavedState
from tests.support import store_rows

SECRET = "of the tests"
TODAY = dt.datetime.now(dt.UTC).replace(microsecond=0)
GROUPS = ("inferwatch-enrich", "inferwatch-detect", "inferwatch-alert", "inferwatch-collector-joiner")
LABELS = (
    *("source_topic_id", "environment", "model", "service", "team", "source", "operation", "provider", "request_model"),
    *("model_version", "prompt_name", "prompt_version", "token_source", "price", "status", "error_type"),
    *("finish_reasons", "flags"),
)
"""Columns of an inference that stay: figures are told apart by them."""


@dataclass
class World:
    """Everything that an erasure acts on; topics and tables exist."""

    kafka: KafkaSettings
    store: StoreSettings
    client: Client
    folder: Path
    engine_files: Path
    user: str = field(default_factory=lambda: f"user-{uuid.uuid4().hex[:12]}")
    other: str = field(default_factory=lambda: f"user-{uuid.uuid4().hex[:12]}")
    topic_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    secrets: list[str] = field(default_factory=list)
    _offset: int = 0

    def secret(self, what: str) -> str:
        """Return a value that is planted for the user, and remember it."""
        value = f"{what}-{uuid.uuid4().hex}"
        self.secrets.append(value)
        return value

    def settings(self, **changed: Any) -> EraseSettings:
        """Return settings of an erasure here, without patience."""
        given: dict[str, Any] = {
            "kafka": self.kafka,
            "store": self.store,
            "user_hash_secret": SECRET,
            "exports": (self.folder,),
            "store_path": self.engine_files,
            "wait_seconds": 1.0,
            "settle_seconds": 0.0,
            "keep_parts_seconds": 1,
        }
        return EraseSettings(**{**given, **changed})

    def erase(self, kind: Kind = "user", identity: str = "", *, dry_run: bool = False, **changed: Any) -> ErasureReport:
        """Erase, by default the user."""
        erasure = Erasure(self.settings(**changed), kind, identity or self.user)
        return erasure.run("cli:tests", lambda _: None, dry_run=dry_run)

    def hashed(self, user: str) -> str:
        """Return what rows name a user by."""
        return keyed_hash(user, SECRET.encode())

    def insert(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows."""
        columns = store_rows.columns(rows)
        self.client.insert(table, list(columns.values()), column_names=list(columns), column_oriented=True)

    def inferences(self, user: str, count: int = 1, **values: Any) -> list[uuid.UUID]:
        """Store inferences of a user; return their ids."""
        rows = []
        for _ in range(count):
            self._offset += 1
            rows.append(
                {
                    **store_rows.INFERENCE,
                    "event_id": uuid.uuid4(),
                    "source_topic_id": self.topic_id,
                    "source_offset": self._offset,
                    "ingested_at": TODAY,
                    "started_at": TODAY - dt.timedelta(seconds=self._offset),
                    "user": self.hashed(user),
                    "input_messages": store_rows.chat(("user", f"question {self._offset}")),
                    "output_messages": store_rows.chat(("assistant", f"answer {self._offset}")),
                    "input_tokens": 7,
                    "output_tokens": self._offset,
                    "pii": [("EMAIL_ADDRESS", "input", 2)],
                    **values,
                }
            )
        self.insert("inferences", rows)
        return [row["event_id"] for row in rows]

    def planted(self, user: str) -> uuid.UUID:
        """Store an inference with a value of its own in every column that can hold a text and is no label."""
        rows = self.client.query(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'inferences'"
        ).result_rows
        values: dict[str, Any] = {}
        for name, kind in rows:
            shape = shape_of(kind)
            if shape is not None and name not in (*LABELS, "event_id", "user"):
                value = self.secret(name)
                values[name] = {"text": value, "texts": [value], "map": {f"k-{value}": value}}[shape]
        return self.inferences(user, **values)[0]

    def references(self, event_id: uuid.UUID, who: str, said: str) -> None:
        """Store what refers to an inference: feedback, an embedding, a detection."""
        self._offset += 1
        self.insert(
            "feedback",
            [
                {
                    **{
                        "feedback_id": uuid.uuid4().hex,
                        "source_topic_id": self.topic_id,
                        "source_offset": self._offset,
                    },
                    **{"ingested_at": TODAY, "at": TODAY, "event_id": event_id, "score": 0.25, "label": "wrong"},
                    **{"response_id": said, "comment": said, "who": self.hashed(who)},
                }
            ],
        )
        embedded = {"event_id": event_id, "at": TODAY, "environment": "production", "model": "smollm2"}
        self.insert(
            "embeddings", [{**embedded, "embedding_model": "minilm", "vector": [0.5, 0.25], "written_at": TODAY}]
        )
        self.insert("detections", [store_rows.detection(TODAY, event_ids=[event_id, uuid.UUID(int=7)])])

    def mention(self, name: str) -> None:
        """Name someone in every other place that holds text."""
        alert = uuid.uuid4()
        self.insert("alerts", [store_rows.transition(alert, "firing", TODAY, summary=f"see {name}, please")])
        self.insert("retraining_runs", [store_rows.retraining_run(TODAY, alert, reason=f"asked by {name}")])
        ClickHouseStateStore(self.store).save("detect", 0, SavedState({"t": 1}, {"note": name}))

    def roll_up(self) -> None:
        """Count rows into rollups."""
        Rollups(self.store, SystemClock()).advance()

    def sums(self) -> list[tuple[Any, ...]]:
        """Return every figure that rollups and rows come to, whatever the labels."""
        rolled = "SELECT sum(requests), sum(input_tokens), sum(output_tokens), sum(fingerprint) FROM {0}"
        figures = [
            rolled.format("metrics_1m"),
            rolled.format("metrics_1h"),
            "SELECT sum(hits), sum(inferences), sum(fingerprint) FROM pii_hits",
            "SELECT count(), sum(input_tokens), sum(output_tokens), uniqExact(event_id), sum(source_offset)"
            " FROM inferences",
            "SELECT count(), sum(score) FROM feedback",
        ]
        return [tuple(self.client.query(figure).result_rows[0]) for figure in figures]

    def rows_of(self, user: str) -> list[tuple[Any, ...]]:
        """Return everything in the rows of a user."""
        return [
            tuple(row)
            for row in self.client.query(
                "SELECT * FROM inferences WHERE user = {user:String} ORDER BY source_offset",
                parameters={"user": self.hashed(user)},
            ).result_rows
        ]

    # Kafka

    def send(self, topic: str, value: bytes, headers: Sequence[tuple[str, str]] = (), partition: int = 0) -> None:
        """Send one record."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers})
        producer.produce(topic, value, key=topic, headers=list(headers), partition=partition)
        assert producer.flush(10) == 0

    def letter(self, value: bytes, offset: int, partition: int = 0) -> None:
        """Send a dead letter that stood at an offset of the inferences topic."""
        headers = [("reason", "not JSON"), ("topic", topics.INFERENCES), ("partition", "0"), ("offset", str(offset))]
        self.send(topics.DEAD_LETTERS, value, headers, partition)

    def processed(self) -> None:
        """Let all workers have processed everything that is in Kafka."""
        for topic in topics.ALL:
            with TopicReader(self.kafka, topic) as reader:
                ends = [TopicPartition(topic, span.partition, span.end) for span in reader.whole()]
            for group in GROUPS:
                consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap_servers, "group.id": group})
                consumer.commit(offsets=ends, asynchronous=False)
                consumer.close()

    def records(self, topic: str) -> list[tuple[bytes, dict[str, str]]]:
        """Return what a topic holds."""
        found = []
        with TopicReader(self.kafka, topic) as reader:
            for messages in reader.read(reader.whole()):
                assert not isinstance(messages, Removed)
                found += [(message.value() or b"", headers_of(message)) for message in messages]
        return found

    def clear_topics(self) -> None:
        """Remove what an earlier test left in topics."""
        from processors.erasure.topic import remove_before

        for topic in topics.ALL:
            with TopicReader(self.kafka, topic) as reader:
                spans = reader.whole()
            remove_before(self.kafka, topic, {span.partition: span.end for span in spans if span.end > span.first})

    # Searches of the tests' own, not through the code that they check

    def in_tables(self, values: Sequence[str]) -> list[str]:
        """Return which of some values stand in any column of any row of any table."""
        tables = self.client.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        ).result_rows
        found = []
        for (table,) in tables:
            lines = self.client.query(f"SELECT formatRow('TSVRaw', *) FROM {table}").result_rows
            text = "\n".join(str(line[0]) for line in lines)
            found += [f"{table}: {value}" for value in values if value in text]
        return found

    def on_disk(self, event_ids: Sequence[uuid.UUID], values: Sequence[str] = ()) -> list[str]:
        """Return in which files of the engine an id stands, as text or as ClickHouse keeps it."""
        wanted = [event_id.bytes[8:][::-1] for event_id in event_ids]
        wanted += [str(value).encode() for value in (*event_ids, *values)]
        found = []
        for path in self.engine_files.rglob("*"):
            try:
                content = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:
                continue
            if any(one in content for one in wanted):
                found.append(path.name)
        return found

    def audit(self) -> list[tuple[str, str, str]]:
        """Return actor, subject and outcome of each erasure, oldest first."""
        lines = audit.entries(self.client, actions=["erase"])
        return [(line.actor, line.subject, line.outcome) for line in reversed(lines)]


def event_line(user: str, event_id: uuid.UUID | None = None, **fields: Any) -> bytes:
    """Return an event as the SDK writes it."""
    event = {"event_id": str(event_id or uuid.uuid4()), "started_at": TODAY.timestamp(), "duration": 0.5, "user": user}
    return json.dumps({**event, "source": "sdk", "request_model": "smollm2", **fields}).encode()


def dataset(path: Path, event_ids: Sequence[uuid.UUID], text: str = "hello") -> Path:
    """Write a dataset with a row an event."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"event_id": str(each), "messages": [{"role": "user", "content": text}]} for each in event_ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids_in(path: Path) -> list[str]:
    """Return the events of a dataset."""
    return re.findall(r'"event_id": "([^"]+)"', path.read_text())
