"""From a real Triton through the real command, Kafka and worker to the store; and while Kafka is away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from inferwatch import ServerSample, topics
from inferwatch.wire import decode_telemetry
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from storage.client import StoreSettings, connect
from storage.migrate import migrate
from tests.integration.scraper.moody import MoodyTriton
from tests.support.kafka import RunningKafka
from tests.support.triton import free_ports
from tests.support.waiting import DEADLINE, wait_for
from tests.support.workers import ROOT, running_worker, variables_for


@contextmanager
def running_scraper(moody: MoodyTriton, bootstrap: str, log: Path) -> Iterator[str]:
    """`inferwatch scraper`, ended by SIGTERM; yields the address of its admin port."""
    (port,) = free_ports(1)
    variables = {
        "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "INFERWATCH_TRITON_HTTP": moody.http,
        "INFERWATCH_TRITON_METRICS": moody.metrics,
        "INFERWATCH_SCRAPER_PORT": str(port),
        "INFERWATCH_SCRAPER_SECONDS": "0.1",
        "INFERWATCH_ENVIRONMENT": "prod",
    }
    command = [sys.executable, "-m", "app.cli", "scraper"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=output, stderr=output)
    try:
        admin = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(f"{admin}/readyz"), "the scraper to hear Triton")
        yield admin
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, log.read_text(errors="replace")[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def counted(admin: str) -> dict[str, float]:
    """What the scraper says of its outbox."""
    with urllib.request.urlopen(f"{admin}/metrics", timeout=5) as answer:
        lines = [line.split() for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("inferwatch_scraper_"): float(value) for name, value in lines}


@pytest.fixture
def migrated(store: StoreSettings) -> StoreSettings:
    migrate(store)
    return store


def test_what_triton_counted_is_in_the_store_once(
    moody: MoodyTriton, own_kafka: RunningKafka, migrated: StoreSettings, tmp_path: Path
) -> None:
    ensure_topics(KafkaSettings(bootstrap_servers=own_kafka.bootstrap))
    client, before = connect(migrated), moody.statistics()["inference_stats"]["compute_infer"]["ns"]
    variables = variables_for(own_kafka.bootstrap, migrated, tmp_path)

    def stored(column: str) -> Any:
        query = f"SELECT {column} FROM server_samples WHERE model = 'moody' AND environment = 'prod'"
        return client.query(query).result_rows[0][0]

    with (
        running_worker("enrich", variables, tmp_path / "enrich.log"),
        running_scraper(moody, own_kafka.bootstrap, tmp_path / "scraper.log") as admin,
    ):
        wait_for(lambda: counted(admin)["sent_total"] > 0, "a sample to be sent")
        assert [moody.infer(one) for one in (0.05, 0.01, -1.0)] == [200, 200, 500]
        wait_for(lambda: stored("sum(requests)") >= 2, "two requests")
        wait_for(lambda: stored("sum(arraySum(failure_counts))") >= 1, "a failure")
        waiting = counted(admin)
    after = moody.statistics()["inference_stats"]["compute_infer"]["ns"]
    assert stored("sum(requests)") == 2
    assert stored("sumMap(failure_reasons, failure_counts)") == (["BACKEND"], [1])
    assert stored("sum(compute_infer_time)") == pytest.approx((after - before) / 1e9, abs=5e-6)
    assert stored("count() - uniqExact(sample_id)") == 0
    assert client.query("SELECT uniqExact(device) FROM server_samples WHERE device = 'cpu'").result_rows == [(1,)]
    assert (waiting["dropped_total"], waiting["failed_total"]) == (0, 0)
    client.close()


def test_while_kafka_is_away_samples_wait_and_then_arrive_once_and_in_order(
    moody: MoodyTriton, own_kafka: RunningKafka, tmp_path: Path
) -> None:
    ensure_topics(KafkaSettings(bootstrap_servers=own_kafka.bootstrap))
    with running_scraper(moody, own_kafka.bootstrap, tmp_path / "scraper.log") as admin:
        wait_for(lambda: counted(admin)["sent_total"] > 0, "a sample to be sent")
        own_kafka.kill()
        away = counted(admin)["waiting"]
        assert moody.infer(0.01) == 200
        wait_for(lambda: counted(admin)["waiting"] > away + 20, "samples to wait")
        assert _answers(f"{admin}/readyz")
        own_kafka.start()
        before = counted(admin)["sent_total"]
        wait_for(lambda: counted(admin)["sent_total"] > before + 20, "those to arrive")
        assert (counted(admin)["dropped_total"], counted(admin)["failed_total"]) == (0, 0)
    samples = [one for one in consumed(own_kafka.bootstrap) if one.model == "moody"][-20:]
    ids = [one.sample_id for one in samples]
    assert len(set(ids)) == len(ids)
    for earlier, later in pairwise(samples):
        assert later.at - later.interval == pytest.approx(earlier.at, abs=0.05)


def consumed(bootstrap: str) -> list[ServerSample]:
    """Every sample of the topic."""
    settings = {"bootstrap.servers": bootstrap, "group.id": json.dumps(os.getpid()), "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "enable.partition.eof": True})
    consumer.subscribe([topics.TELEMETRY])
    found: list[ServerSample] = []
    ended: set[int | None] = set()
    try:
        while len(ended) < KafkaSettings().partitions:
            message = consumer.poll(30)
            assert message is not None, "Kafka says nothing"
            if message.error() is not None:
                ended.add(message.partition())
                continue
            event = decode_telemetry(message.value() or b"")
            assert isinstance(event, ServerSample)
            found.append(event)
    finally:
        consumer.close()
    return found
