"""Workers that come and go while events flow: partitions change hands, and each event counts once."""

from __future__ import annotations

import random

import pytest

from tests.support.ledger import World
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(600)


def test_workers_that_join_and_leave_lose_and_repeat_nothing(world: World) -> None:
    rng = random.Random(31)
    with world.traffic(seed=8, records_per_second=30) as traffic:
        workers = [world.start_worker()]
        for _ in range(3):
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
