"""A real collector on a real broker, and what it put there."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from app.local.ports import free_ports
from app.local.probes import http_ok
from ingest.collector.collector import Collector
from ingest.collector.settings import CollectorSettings
from tests.support.waiting import DEADLINE, wait_for
from tests.support.workers import ROOT


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


@dataclass
class CollectorProcess:
    """`inferwatch collector` as a process, which a test may kill and start again on the same ports."""

    bootstrap: str
    log: Path
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.http, self.grpc = free_ports(2)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def start(self) -> None:
        """Start and wait until it is ready."""
        env = {
            **os.environ,
            "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "INFERWATCH_COLLECTOR_PORT": str(self.http),
            "INFERWATCH_COLLECTOR_GRPC_PORT": str(self.grpc),
            **self.variables,
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "collector"],
                cwd=ROOT,
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._ready, f"the collector to be ready; its log: {self.log}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit status."""
        assert self.process is not None, "not started"
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        return http_ok(f"{self.base}/readyz")


@contextmanager
def collector_process(bootstrap: str, log: Path, **variables: str) -> Iterator[CollectorProcess]:
    """A collector that is stopped at the end, and must then end by itself with status 0."""
    running = CollectorProcess(bootstrap, log, variables)
    try:
        running.start()
        yield running
        assert running.end(signal.SIGTERM) == 0, log.read_text(errors="replace")[-3000:]
    finally:
        if running.process is not None and running.process.poll() is None:
            running.end(signal.SIGKILL)


def messages_of(bootstrap: str, topic: str) -> Iterator[KafkaMessage]:
    """Yield every record of a topic, from its beginning to where it ends now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "tests-read", "enable.auto.commit": False})
    try:
        ends = _ends(consumer, topic)
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


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    """Return where each partition ends that holds something; a broker that was halted may not lead it at once."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            places = [
                TopicPartition(topic, number)
                for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions
            ]
            marks = {place.partition: consumer.get_watermark_offsets(place, timeout=30) for place in places}
            return {number: high for number, (low, high) in marks.items() if high > low}
        except KafkaException:
            assert time.monotonic() < deadline, f"{topic} has no leader"
            time.sleep(0.1)


def events_of(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    """Return every event of a topic."""
    return [
        json.loads(line)
        for message in messages_of(bootstrap, topic)
        for line in (message.value() or b"").split(b"\n")
        if line
    ]
