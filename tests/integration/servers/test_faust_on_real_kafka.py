"""Faust's acknowledgement by hand, on a real broker and on the in-memory one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from tests.support.kafka import running_kafka
from tests.support.needs import need_kafka
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 60.0


@contextmanager
def mock_broker(work: Path) -> Iterator[str]:
    address = work / "broker.json"
    command = [sys.executable, "-m", "app.local.mock_broker", "--address-file", str(address)]
    with (work / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(address.exists, "the in-memory broker's address")
        yield json.loads(address.read_text())["bootstrap"]
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(10)
    assert status == 0
    assert not address.exists()
    assert b"first look only" in (work / "broker.log").read_bytes()


@pytest.fixture(scope="module", params=["real", "mock"])
def bootstrap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    work = tmp_path_factory.mktemp("broker")
    if request.param == "mock":
        with mock_broker(work) as address:
            yield address
        return
    need_kafka()
    with running_kafka(work) as kafka:
        for topic in ("crashes", "records", "records.out"):
            kafka.create_topic(topic)
        yield kafka.bootstrap


@dataclass
class Echo:
    """The worker of `tests.support.faust_echo`."""

    bootstrap: str
    topic: str
    work: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.support.faust_echo", "--bootstrap", self.bootstrap]
        command += ["--topic", self.topic, "--group", f"group-{self.topic}", "--work", str(self.work), *arguments]
        with (self.work / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Exit status, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(30), time.monotonic() - began

    def processed(self) -> list[tuple[int, int, str]]:
        """Partition, offset and value of every record, in the order of processing."""
        file = self.work / "processed"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(int(partition), int(offset), value) for partition, offset, value, _ in lines]

    def values(self) -> set[str]:
        return {value for _, _, value in self.processed()}

    def journal(self) -> list[str]:
        """What the worker noted, without the times."""
        return [line.split(" ", 1)[1] for line in (self.work / "journal").read_text().splitlines()]


@contextmanager
def worker(bootstrap: str, topic: str, work: Path) -> Iterator[Echo]:
    echo = Echo(bootstrap, topic, work)
    try:
        yield echo
    finally:
        if echo.process.poll() is None:
            echo.process.kill()
            echo.process.wait()


def produce(bootstrap: str, topic: str, values: list[str]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "log_level": 0})
    for value in values:
        producer.produce(topic, key=value, value=value)
    assert producer.flush(30) == 0


def consume(bootstrap: str, topic: str, count: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values: list[str] = []
    deadline = time.monotonic() + DEADLINE
    try:
        while len(values) < count and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            value = message.value() if message is not None and message.error() is None else None
            if value is not None:
                values.append(value.decode())
    finally:
        consumer.close()
    return values


def test_failed_batches_are_retried_and_restarts_lose_and_repeat_nothing(bootstrap: str, tmp_path: Path) -> None:
    first, second, third = ([f"{letter}{n}" for n in range(500)] for letter in "abc")
    produce(bootstrap, "records", first)
    with worker(bootstrap, "records", tmp_path) as echo:
        echo.start("--failures", "3", "--produce", "--assigned-seconds", "0.3")
        wait_for(lambda: len(echo.processed()) >= 500, "all records in spite of a failing sink")
        wait_for(lambda: len(consume(bootstrap, "records.out", 500)) == 500, "what the agent produced")
        status, seconds = echo.stop()
        assert (status, seconds < 5) == (0, True), seconds
        assert echo.journal()[1:6] == ["assigned 4", "first record", "retry", "retry", "retry"]

        produce(bootstrap, "records", second)
        echo.start()
        wait_for(lambda: len(echo.processed()) >= 1000, "what came while the worker was away")
        echo.stop()
        places = [(partition, offset) for partition, offset, _ in echo.processed()]
        assert len(places) == len(set(places)) == 1000

        produce(bootstrap, "records", third)
        echo.start()
        wait_for(lambda: len(echo.processed()) > 1000, "the first batch")
        echo.stop(signal.SIGKILL)
        echo.start()
        wait_for(lambda: echo.values() == {*first, *second, *third}, "every record after a kill")


def test_a_fatal_error_stops_the_worker_and_leaves_the_record_unacknowledged(bootstrap: str, tmp_path: Path) -> None:
    produce(bootstrap, "crashes", ["before", "poison"])
    with worker(bootstrap, "crashes", tmp_path) as echo:
        echo.start()
        assert echo.process.wait(DEADLINE) == 1
        assert "crash" in echo.journal()
        (tmp_path / "processed").unlink()
        echo.start()
        assert echo.process.wait(DEADLINE) == 1
        assert "poison" in echo.values()
