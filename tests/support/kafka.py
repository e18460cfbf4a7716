"""A real Kafka for tests: one broker as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from app.local.kafka import KafkaSettings, fetch, prepare

CACHE = Path.home() / ".cache" / "inferwatch"
START_SECONDS = 90.0
STOP_SECONDS = 30.0


@dataclass
class RunningKafka:
    """One broker. `kill` and `start` keep data and ports."""

    settings: KafkaSettings
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def bootstrap(self) -> str:
        return self.settings.bootstrap

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> float:
        """Start the broker; returns the seconds until it answered."""
        began = time.monotonic()
        launch = prepare(self.settings)
        log = self.data_dir / "broker.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                launch.argv, env={**os.environ, **launch.env}, stdout=output, stderr=subprocess.STDOUT
            )
        while True:
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                self.kill()
                raise AssertionError(f"Kafka did not start: {log.read_text(errors='replace')[-3000:]}")
            if self._answers():
                return time.monotonic() - began

    def stop(self) -> float:
        """SIGTERM; returns the seconds it took to go."""
        return self._end(signal.SIGTERM)

    def kill(self) -> float:
        """SIGKILL; returns the seconds it took to go."""
        return self._end(signal.SIGKILL)

    def restart(self) -> float:
        """Stop, then start on the same data and ports; returns the seconds until it answered again."""
        self.stop()
        return self.start()

    def create_topic(self, name: str, partitions: int = 4) -> None:
        """Create a topic and wait until it is there."""
        admin = self._admin()
        futures = admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])
        futures[name].result(timeout=30)

    def _end(self, number: signal.Signals) -> float:
        began = time.monotonic()
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - began

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.settings.host, self.settings.port), timeout=1):
                pass
        except OSError:
            time.sleep(0.05)
            return False
        try:
            return bool(self._admin().list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})


@contextmanager
def running_kafka(tmp: Path, *, cache_dir: Path = CACHE) -> Iterator[RunningKafka]:
    """A broker with its data in `tmp`, on free ports; the jars are downloaded the first time."""
    fetch(cache_dir)
    port, controller_port = _free_ports(2)
    settings = KafkaSettings(
        data_dir=tmp / "kafka", cache_dir=cache_dir, port=port, controller_port=controller_port, heap_mb=256
    )
    kafka = RunningKafka(settings)
    kafka.start()
    try:
        yield kafka
    finally:
        if kafka.process.poll() is None:
            try:
                kafka.stop()
            except subprocess.TimeoutExpired:
                kafka.kill()
                raise


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
