"""An enrich worker that is killed, anywhere: what it was given is stored and counted once."""

from __future__ import annotations

import random
import time
from typing import Final

import pytest

from tests.support.faulty_store import FaultyStore, faulty_store
from tests.support.ledger import World
from tests.support.workers import Worker

KILLS: Final = 20
pytestmark = pytest.mark.timeout(900)  # twenty starts of a process that takes some seconds on a busy machine
AT_POINTS: Final = ("held before", "cut", "answer held")


def test_a_worker_killed_at_many_moments_loses_and_repeats_nothing(world: World) -> None:
    rng = random.Random(11)
    with faulty_store(world.store.url) as proxy, world.traffic(seed=1) as traffic:
        worker = world.start_worker(proxy.url)
        for _ in range(KILLS):
            if rng.random() < 0.5:
                _kill_anywhere(world, worker, rng)
                worker = world.start_worker(proxy.url)
            else:
                worker = _kill_within_an_insert(world, worker, proxy, rng)
        ledger = traffic.finish()
        world.balance(ledger)
        world.stop(worker)


def _kill_anywhere(world: World, worker: Worker, rng: random.Random) -> None:
    world.wait_for_rows()
    # Not to wait for anything: any moment of the half second in which batch follows batch is as good as another.
    time.sleep(rng.uniform(0, 0.5))
    world.kill(worker)


def _kill_within_an_insert(world: World, worker: Worker, proxy: FaultyStore, rng: random.Random) -> Worker:
    fault = proxy.plan(rng.choice(AT_POINTS), rng.choice(("inferences", "inferences", "metrics_1m")))
    fault.wait_reached()
    world.kill(worker)
    if rng.random() < 0.5:
        fault.release()
        return world.start_worker(proxy.url)
    # The statement of the dead arrives while the next one works.
    worker = world.start_worker(proxy.url)
    fault.release()
    return worker
