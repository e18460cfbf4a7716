"""A mistake stops a service at start, with one sentence that says what, where and what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.local.ports import free_ports
from storage.client import StoreSettings, connect
from storage.migrate import migrate

ROOT = Path(__file__).resolve().parents[3]


def start(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *command],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.mark.parametrize(
    ("command", "variable", "value", "expected"),
    [
        (["worker", "enrich"], "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS", "localhost", "host:port"),
        (["worker", "alert"], "SLACK_WEBHOOK_URL", "hooks.slack.com/services/x", "a URL"),
        (["worker", "alert"], "INFERWATCH_ALERT_RULES", "/no/such/file.yaml", "a file that exists"),
        (["sidecar"], "INFERWATCH_TRITON_HTTP", "http://triton:8000", "host:port"),
        (["store"], "INFERWATCH_STORE_PORT", "eight", "a port from 1 to 65535"),
        (["dashboard"], "INFERWATCH_CLICKHOUSE_URL", "127.0.0.1:8123", "a URL"),
        (["demo", "--once"], "INFERWATCH_BATCH_RECORDS", "none", "a whole number"),
    ],
)
def test_a_bad_setting_names_the_variable_and_the_form(
    command: list[str], variable: str, value: str, expected: str
) -> None:
    done = start(*command, **{variable: value})
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("inferwatch: ")
    assert variable in last
    assert expected in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("store", "INFERWATCH_STORE_PORT"),
        ("triton", "INFERWATCH_TRITON_HTTP_PORT"),
        ("sidecar", "INFERWATCH_SIDECAR_HTTP_PORT"),
        ("dashboard", "INFERWATCH_DASHBOARD_PORT"),
        ("slack-receiver", "INFERWATCH_SLACK_PORT"),
        ("up", "INFERWATCH_SIDECAR_GRPC_PORT"),
        ("broker", "INFERWATCH_BROKER_PORT"),
        ("scraper", "INFERWATCH_SCRAPER_PORT"),
    ],
)
def test_a_port_that_is_taken_is_named(command: str, variable: str, taken: str, tmp_path: Path) -> None:
    done = start(command, **{variable: taken, "INFERWATCH_DATA_DIR": str(tmp_path)})
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("inferwatch: ")
    assert f"127.0.0.1:{taken}" in last
    assert variable in last
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_away_is_said_in_one_line(store: StoreSettings, tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    done = start(
        "worker",
        "detect",
        INFERWATCH_KAFKA_BOOTSTRAP_SERVERS=nowhere,
        INFERWATCH_CLICKHOUSE_URL=store.url,
        INFERWATCH_CLICKHOUSE_DATABASE=store.database,
        INFERWATCH_DATA_DIR=str(tmp_path),
    )
    assert done.returncode == 2
    assert f"Kafka at {nowhere}: no broker answers" in done.stderr.strip().splitlines()[-1]
    assert "rdkafka" not in done.stderr


def test_a_dashboard_refuses_tables_of_a_later_version(store: StoreSettings, tmp_path: Path) -> None:
    migrate(store)
    with closing(connect(store)) as client:
        client.command("INSERT INTO schema_migrations SELECT 9999, 'later', now64(3)")
    done = start(
        "dashboard",
        INFERWATCH_CLICKHOUSE_URL=store.url,
        INFERWATCH_CLICKHOUSE_DATABASE=store.database,
        INFERWATCH_DASHBOARD_PORT=str(free_ports(1)[0]),
        INFERWATCH_DATA_DIR=str(tmp_path),
    )
    assert done.returncode == 2
    assert "at migration 9999" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_rule_that_does_not_fit_is_named_with_its_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {name: slow, severity: loud, signal: duration, aggregation: p95, threshold: 1}\n")
    done = start("worker", "alert", INFERWATCH_ALERT_RULES=str(rules))
    assert done.returncode == 2
    assert str(rules) in done.stderr
    assert "rules[0]" in done.stderr
