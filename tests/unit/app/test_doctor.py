"""What the doctor says of servers that answer, but otherwise than hoped for."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from app import doctor
from app.local import probes
from app.settings import load
from storage.migrate import load as load_migrations

SASL = {
    "INFERWATCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "INFERWATCH_KAFKA_SASL_USERNAME": "me",
    "INFERWATCH_KAFKA_SASL_PASSWORD": "geheim",
}


class Client:
    """A ClickHouse client that answers, or raises, as told."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer
        self.closed = False

    def command(self, _statement: str) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


def finding(name: str, variables: dict[str, str] | None = None) -> doctor.Finding:
    return next(one for one in doctor.examine(load(variables or {})) if one.name == name)


@pytest.fixture(autouse=True)
def _nothing_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "http_ok", lambda *_: False)
    monkeypatch.setattr(doctor, "kafka_ok", lambda *_: False)
    monkeypatch.setattr(doctor, "connect", lambda _: Client(0))


def test_a_cluster_that_wants_to_know_who_asks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    class Admin:
        def __init__(self, config: dict[str, Any]) -> None:
            given.append(config)

        def list_topics(self, timeout: float) -> SimpleNamespace:
            known = given[0].get("sasl.password") == "geheim" and given[0].get("security.protocol") == "SASL_SSL"
            return SimpleNamespace(brokers={0: "a"} if known else {})

    monkeypatch.setattr(probes, "AdminClient", Admin)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(doctor, "kafka_ok", probes.kafka_ok)
    found = finding("Kafka", SASL)
    assert found.ok
    assert "geheim" not in found.says
    assert given[0]["bootstrap.servers"] == "127.0.0.1:9092"


def test_a_database_without_our_tables_is_to_be_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(DatabaseError("Table inferwatch.schema_migrations does not exist", code=60))
    monkeypatch.setattr(doctor, "connect", lambda _: client)
    found = finding("ClickHouse")
    assert not found.ok
    assert "run `inferwatch migrate`" in found.says
    assert "code 60" in found.says
    assert client.closed


@pytest.mark.parametrize("behind", [0, 1])
def test_a_schema_is_compared_with_the_one_that_is_known(monkeypatch: pytest.MonkeyPatch, behind: int) -> None:
    known = max(migration.number for migration in load_migrations())
    monkeypatch.setattr(doctor, "connect", lambda _: Client(known - behind))
    found = finding("ClickHouse")
    assert found.ok == (behind == 0)
    assert ("run `inferwatch migrate`" in found.says) == (behind == 1)


def test_metrics_that_nobody_tells_are_no_obstacle() -> None:
    found = finding("Triton's metrics", {"INFERWATCH_TRITON_METRICS": "triton:8002"})
    assert (found.ok, found.needed) == (False, False)
    assert "triton:8002" in found.says


def test_a_collector_without_keys_is_told_of() -> None:
    assert "INFERWATCH_API_KEYS" in finding("API keys").says
    assert finding("API keys", {"INFERWATCH_API_KEYS": "/etc/inferwatch/keys.json"}).ok
