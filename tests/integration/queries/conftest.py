from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from storage.client import StoreSettings
from storage.queries import Reader, open_reader
from storage.sink import ClickHouseSink
from tests.support.clickhouse import RunningStore, running_store
from tests.support.store_rows import prepared


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """One real engine for all tests of this folder."""
    with running_store(tmp_path_factory.mktemp("store") / "data") as store:
        yield store


@pytest.fixture
def settings(server: RunningStore) -> StoreSettings:
    """An empty database of its own."""
    return prepared(server.url, f"test_{uuid.uuid4().hex}")


@pytest.fixture
def sink(settings: StoreSettings) -> Iterator[ClickHouseSink]:
    """Writes into that database."""
    opened = ClickHouseSink(settings)
    yield opened
    opened.close()


@pytest.fixture
def reader(settings: StoreSettings) -> Iterator[Reader]:
    """Reads from that database."""
    opened = open_reader(settings)
    yield opened
    opened.close()
