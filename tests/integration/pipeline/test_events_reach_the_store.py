"""The enrich worker on the real broker and the real engine: every event once, poison set apart, nothing in clear."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer

from inferwatch import Mirror, new_event_id, topics
from storage.client import StoreSettings, connect
from tests.support.kafka import RunningKafka
from tests.support.waiting import wait_for
from tests.support.workers import Worker, running_worker, variables_for


@pytest.fixture
def client(migrated: StoreSettings) -> Iterator[Client]:
    opened = connect(migrated)
    yield opened
    opened.close()


@pytest.fixture
def worker(own_kafka: RunningKafka, migrated: StoreSettings, tmp_path: Path, logs: Path) -> Iterator[Worker]:
    variables = variables_for(own_kafka.bootstrap, migrated, tmp_path)
    with running_worker("enrich", variables, logs / "enrich.log") as running:
        yield running


def stored(client: Client, team: str) -> list[tuple[Any, ...]]:
    query = "SELECT toString(event_id), input_messages, pii FROM inferences WHERE team = {team:String}"
    return [tuple(row) for row in client.query(query, parameters={"team": team}).result_rows]


def produce(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topics.INFERENCES, value)
    assert producer.flush(10) == 0


def dead_letters(bootstrap: str, count: int) -> list[tuple[bytes, dict[str, str]]]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topics.DEAD_LETTERS])
    found: list[tuple[bytes, dict[str, str]]] = []
    try:
        while len(found) < count:
            message = consumer.poll(30)
            assert message is not None, f"{len(found)} dead letters came, not {count}"
            assert message.error() is None
            headers = {name: value.decode() for name, value in cast("list[tuple[str, bytes]]", message.headers())}
            found.append((message.value() or b"", headers))
    finally:
        consumer.close()
    return found


def _is(client: Client, query: str, parameters: dict[str, str], expected: int) -> bool:
    return int(str(client.command(query, parameters))) == expected


def event_line(event_id: str, **fields: Any) -> bytes:
    event = {
        "event_id": event_id,
        "started_at": time.time() - 1,
        "duration": 0.5,
        "source": "sdk",
        "request_model": "smollm2",
        **fields,
    }
    return json.dumps(event).encode()


def test_what_the_sdk_mirrors_is_stored_once_and_masked(
    own_kafka: RunningKafka, client: Client, worker: Worker
) -> None:
    team = uuid.uuid4().hex
    mirror = Mirror(own_kafka.bootstrap, service="test", team=team)
    ids = []
    for number in range(250):
        with mirror.inference("smollm2", input=f"write to ada{number}@example.org") as call:
            call.chunk("done")
            ids.append(call.event_id)
    mirror.close()
    assert mirror.stats().delivered == 250
    wait_for(lambda: len(stored(client, team)) >= 250, "250 rows")
    rows = stored(client, team)
    assert sorted(row[0] for row in rows) == sorted(ids)
    assert all("<EMAIL_ADDRESS>" in row[1] and "@" not in row[1] for row in rows)
    counted = "SELECT sum(requests) FROM {table:Identifier} WHERE team = {team:String}"
    for table in ("metrics_1m", "metrics_1h"):
        parameters = {"table": table, "team": team}
        wait_for(partial(_is, client, counted, parameters, 250), f"{table} to follow")


def test_a_malformed_event_becomes_a_dead_letter_and_its_neighbours_are_stored(
    own_kafka: RunningKafka, client: Client, worker: Worker
) -> None:
    team, good = uuid.uuid4().hex, [new_event_id(), new_event_id()]
    bad = [b'{"event_id": tr', event_line(new_event_id(), duration=-1), event_line(new_event_id(), duration="long")]
    record = b"\n".join(
        [event_line(good[0], team=team), *bad, event_line(good[1], team=team, input_messages=[{"role": "user"}])]
    )
    produce(own_kafka.bootstrap, record)
    wait_for(lambda: len(stored(client, team)) == 2, "both good events")
    assert sorted(row[0] for row in stored(client, team)) == sorted(good)
    letters = dead_letters(own_kafka.bootstrap, 3)
    assert sorted(value for value, _ in letters) == sorted(bad)
    reasons = {headers["index"]: headers["reason"] for _, headers in letters}
    assert "not JSON" in reasons["1"]
    assert "$.duration" in reasons["2"]
    assert "$.duration" in reasons["3"]


def test_a_worker_that_is_killed_loses_and_repeats_nothing(
    own_kafka: RunningKafka, migrated: StoreSettings, client: Client, tmp_path: Path, logs: Path
) -> None:
    team = uuid.uuid4().hex
    ids = [new_event_id() for _ in range(3000)]
    producer = Producer({"bootstrap.servers": own_kafka.bootstrap, "linger.ms": 1})
    variables = variables_for(own_kafka.bootstrap, migrated, tmp_path)
    with running_worker("enrich", variables, logs / "enrich.log") as worker:
        for batch in range(3):
            for event_id in ids[batch * 1000 : (batch + 1) * 1000]:
                producer.produce(topics.INFERENCES, event_line(event_id, team=team))
            assert producer.flush(30) == 0
            wait_for(lambda: len(stored(client, team)) > 0, "the first rows")
            worker.end(signal.SIGKILL)
            worker.start()
        wait_for(lambda: len(stored(client, team)) >= 3000, "every row")
        rows = [row[0] for row in stored(client, team)]
    assert len(rows) == len(set(rows))
    assert sorted(rows) == sorted(ids)
