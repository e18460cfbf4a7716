"""Workers that come and go while events flow: partitions change hands, and each event counts once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clickhouse import RunningStore
from tests.support.kafka import RunningKafka
from tests.support.ledger import World, made_world
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def wide(mortal_kafka: RunningKafka, mortal_store: RunningStore, tmp_path: Path) -> Iterator[World]:
    """Of four partitions Faust gives the third worker none: each may have ⌈4 / 3⌉, and the first two keep theirs."""
    with made_world(mortal_kafka, mortal_store, tmp_path, partitions=6) as made:
        yield made


def test_workers_that_join_and_leave_lose_and_repeat_nothing(wide: World) -> None:
    world, rng = wide, random.Random(31)
    with world.traffic(seed=8, records_per_second=30) as traffic:
        workers = [world.start_worker()]
        for _ in range(2):
            while len(workers) < 3:
                workers.append(world.start_worker())
                world.wait_for_rows()
            _one_leaves(world, workers, rng, killed=False)
            _one_leaves(world, workers, rng, killed=True)
        world.balance(traffic.finish())
        for worker in workers:
            world.stop(worker)


def _one_leaves(world: World, workers: list[Worker], rng: random.Random, *, killed: bool) -> None:
    worker = workers.pop(rng.randrange(len(workers)))
    if killed:
        world.kill(worker)
    else:
        world.stop(worker)
    world.wait_for_rows()
