"""A store and a broker that are killed and come back: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.support.ledger import World

pytestmark = pytest.mark.timeout(600)


def test_a_store_that_is_killed_again_and_again_loses_and_repeats_nothing(world: World) -> None:
    rng = random.Random(21)
    with world.traffic(seed=5) as traffic:
        worker = world.start_worker()
        for _ in range(6):
            world.wait_for_rows()
            # Not to wait for anything: any moment of the second in which batch and rollup follow each other will do.
            time.sleep(rng.uniform(0, 1.0))
            world.server.kill()
            world.server.start()
        world.balance(traffic.finish())
        world.server.kill()
        try:
            world.stop(worker)
        finally:
            world.server.start()


def test_a_broker_that_is_killed_and_comes_back_loses_and_repeats_nothing(world: World) -> None:
    rng = random.Random(22)
    with world.traffic(seed=6) as traffic:
        worker = world.start_worker()
        for _ in range(3):
            world.wait_for_rows()
            time.sleep(rng.uniform(0, 0.5))  # likewise
            world.broker.kill()
            world.broker.start()
        world.wait_for_rows()
        world.balance(traffic.finish())
        world.stop(worker)


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_a_worker_whose_broker_is_gone_stops_soon(world: World, way: str) -> None:
    with world.traffic(seed=7) as traffic:
        worker = world.start_worker()
        world.wait_for_rows()
        broker = world.broker.pid
        if way == "killed":
            world.broker.kill()
        else:
            os.kill(broker, signal.SIGSTOP)
        try:
            world.stop(worker)
        finally:
            if way == "killed":
                world.broker.start()
            else:
                os.kill(broker, signal.SIGCONT)
        worker = world.start_worker()
        world.balance(traffic.finish())
        world.stop(worker)
