from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from inferwatch.clock import SystemClock
from storage.client import StoreSettings
from storage.queries import Reader, open_reader
from storage.rollups import Rollups
from storage.sink import ClickHouseSink, Columns
from tests.support.clickhouse import RunningStore, running_store
from tests.support.store_rows import prepared


class RolledSink(ClickHouseSink):
    """Keeps the rollups up with every write; each write of inferences comes from records of its own."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._store = settings
        self._offset = 0

    def write(self, table: str, columns: Columns) -> None:
        """Insert rows and count them."""
        if table == "inferences":
            columns = {**columns, "source_offset": self._numbered(columns["source_offset"])}
        super().write(table, columns)
        if table == "inferences":
            # A new one looks at every day of arrival, one that has worked for a while mostly at the last.
            with closing(Rollups(self._store, SystemClock())) as rollups:
                while any(step.more for step in rollups.advance().values()):
                    pass

    def _numbered(self, given: object) -> list[int]:
        assert isinstance(given, list)
        if any(given):
            return given
        first, self._offset = self._offset, self._offset + len(given)
        return list(range(first, self._offset))


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
def sink(settings: StoreSettings) -> Iterator[RolledSink]:
    """Writes into that database."""
    opened = RolledSink(settings)
    yield opened
    opened.close()


@pytest.fixture
def reader(settings: StoreSettings) -> Iterator[Reader]:
    """Reads from that database."""
    opened = open_reader(settings)
    yield opened
    opened.close()
