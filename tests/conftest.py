"""Servers that tests share: each starts when the first test asks for it, and stops at the end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from storage.client import StoreSettings
from tests.support.browser import running_browser
from tests.support.clickhouse import RunningStore, running_store
from tests.support.kafka import RunningKafka, running_kafka
from tests.support.needs import need_browser, need_kafka
from tests.support.triton import RunningTriton, running_triton


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """A real broker."""
    need_kafka()
    with running_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """The real ClickHouse engine."""
    with running_store(tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture
def store(store_server: RunningStore) -> StoreSettings:
    """A database of its own on the real engine, without tables."""
    return StoreSettings(url=store_server.url, database=f"test_{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    """A real Triton with both models."""
    with running_triton(tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    need_browser()
    with running_browser() as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and why."""
    reasons = {str(report.longrepr[2]) for report in terminalreporter.getreports("skipped") if report.longrepr}
    if reasons:
        terminalreporter.write_line(f"LEFT OUT: {'; '.join(sorted(reasons))}", yellow=True)
