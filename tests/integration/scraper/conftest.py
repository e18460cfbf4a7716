from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.scraper.moody import MoodyTriton
from tests.support.kafka import RunningKafka, running_kafka
from tests.support.needs import need_kafka


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MoodyTriton]:
    """A real Triton whose model does as it is told."""
    triton = MoodyTriton(tmp_path_factory.mktemp("moody"))
    try:
        triton.start()
        yield triton
    finally:
        triton.stop()


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """A broker that tests may kill."""
    need_kafka()
    with running_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running
