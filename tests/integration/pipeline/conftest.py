from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.client import StoreSettings
from storage.migrate import migrate
from tests.support.kafka import RunningKafka, running_kafka
from tests.support.needs import need_kafka


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """A broker whose topics no other module writes to."""
    need_kafka()
    with running_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def migrated(store: StoreSettings) -> StoreSettings:
    """A database of its own with tables."""
    migrate(store)
    return store
