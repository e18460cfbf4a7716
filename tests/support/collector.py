"""A real collector on a real broker, and what it put there."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from ingest.collector.collector import Collector
from ingest.collector.settings import CollectorSettings


@dataclass
class Client:
    """Talks to one collector."""

    base: str
    session: aiohttp.ClientSession
    collector: Collector

    async def post(self, path: str, body: Any, content_type: str = "application/json", **headers: str) -> Reply:
        """Send a body: bytes as they are, anything else as JSON."""
        # A file, because aiohttp warns of large bytes.
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(
            self.base + path, data=data, headers={"content-type": content_type, **names}
        ) as response:
            return Reply(response.status, dict(response.headers), await response.read())

    async def get(self, path: str) -> Reply:
        """Ask for a page."""
        async with self.session.get(self.base + path) as response:
            return Reply(response.status, dict(response.headers), await response.read())


@dataclass
class Reply:
    """A status with headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        told: dict[str, Any] = self.json["error"]
        return told


@asynccontextmanager
async def running_collector(bootstrap: str, **changes: Any) -> AsyncIterator[Client]:
    """A collector on free ports, and a client of it."""
    settings = CollectorSettings(bootstrap_servers=bootstrap, **{"http_port": 0, "grpc_port": 0, **changes})
    async with (
        Collector(settings) as collector,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
    ):
        scheme = "http" if settings.tls is None else "https"
        yield Client(f"{scheme}://{settings.host}:{collector.ports.http}", session, collector)


def messages_of(bootstrap: str, topic: str) -> Iterator[KafkaMessage]:
    """Yield every record of a topic, from its beginning to where it ends now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "tests-read", "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ends = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
        while ends:
            message = consumer.poll(30)
            assert message is not None, f"{topic} could not be read to its end"
            assert message.error() is None, message.error()
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            yield message
            if partition in ends and offset + 1 >= ends[partition]:
                del ends[partition]
    finally:
        consumer.close()


def events_of(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    """Return every event of a topic."""
    return [
        json.loads(line)
        for message in messages_of(bootstrap, topic)
        for line in (message.value() or b"").split(b"\n")
        if line
    ]
