from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clickhouse import RunningStore, running_store
from tests.support.kafka import RunningKafka, running_kafka
from tests.support.ledger import World, made_world
from tests.support.needs import need_kafka


@pytest.fixture(scope="package")
def mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """A broker that tests may kill."""
    need_kafka()
    with running_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="package")
def mortal_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """A store that tests may kill."""
    with running_store(tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture
def world(mortal_kafka: RunningKafka, mortal_store: RunningStore, tmp_path: Path) -> Iterator[World]:
    """Empty topics and an empty database."""
    with made_world(mortal_kafka, mortal_store, tmp_path) as made:
        yield made
