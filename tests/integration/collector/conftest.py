"""What tests of the collector share: a broker with all topics."""

from __future__ import annotations

import pytest

from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.support.kafka import RunningKafka


@pytest.fixture(scope="session")
def bootstrap(kafka: RunningKafka) -> str:
    """The address of a broker that has all topics."""
    ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap))
    return kafka.bootstrap
