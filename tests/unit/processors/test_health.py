"""What a worker says of its lag is true also while it waits, and reads nothing from which it could learn of the end."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from processors.health import follow_ends, state_of

ONE, OTHER = TP("inferences", 0), TP("inferences", 1)


class Consumer:
    """Knows an end from its last fetch, and asks Kafka for the real one where Kafka answers."""

    def __init__(self, known: dict[TP, int], real: dict[TP, int] | None, committed: dict[TP, int]) -> None:
        self.known, self.real = known, real
        self._committed_offset: defaultdict[TP, int | None] = defaultdict(lambda: None, committed)

    def assignment(self) -> set[TP]:
        return set(self.known)

    def highwater(self, tp: TP) -> int:
        return self.known[tp]

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        if self.real is None:
            raise KafkaConnectionError
        return {tp: self.real[tp] for tp in partitions}


class App:
    """An app that stops after it slept once."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.should_stop = False

    async def sleep(self, seconds: float) -> None:
        self.should_stop = True


async def lag(consumer: Consumer, ends: dict[TP, int]) -> dict[str, int]:
    app: Any = App(consumer)
    await follow_ends(app, ends)
    found: dict[str, int] = state_of(app, "enrich", ends)["lag"]
    return found


async def test_records_that_were_never_fetched_are_lag() -> None:
    consumer = Consumer({ONE: 10, OTHER: 5}, {ONE: 900, OTHER: 5}, {ONE: 10})
    assert await lag(consumer, {}) == {"inferences-0": 890, "inferences-1": 5}


async def test_without_an_answer_of_kafka_the_last_end_counts() -> None:
    consumer = Consumer({ONE: 10}, None, {ONE: 4})
    assert await lag(consumer, {}) == {"inferences-0": 6}
    assert await lag(consumer, {ONE: 50}) == {"inferences-0": 46}


@pytest.mark.parametrize("ends", [{}, {ONE: 7}])
def test_a_worker_without_partitions_has_no_lag(ends: dict[TP, int]) -> None:
    app: Any = SimpleNamespace(consumer=None)
    assert state_of(app, "enrich", ends) == {"role": "enrich", "partitions": [], "lag": {}}
