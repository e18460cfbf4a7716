"""A worker that freezes within an insert for longer than its session, and wakes up when its work is done by another."""

from __future__ import annotations

import signal

import pytest

from tests.support.faulty_store import Fault, FaultyStore, Kind, faulty_store
from tests.support.ledger import World
from tests.support.waiting import wait_for
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(600)

FROZEN: tuple[tuple[Kind, str], ...] = (
    ("held before", "inferences"),
    ("answer held", "inferences"),
    ("held before", "metrics_1m"),
    ("cut", "inferences"),
)


def test_a_worker_that_froze_counts_nothing_twice_when_it_wakes_up(world: World) -> None:
    with (
        faulty_store(world.store.url) as one,
        faulty_store(world.store.url) as other,
        world.traffic(seed=9) as traffic,
    ):
        workers = {id(proxy): world.start_worker(proxy.url) for proxy in (one, other)}
        for kind, table in FROZEN:
            frozen_at, fault = _first(kind, table, one, other)
            frozen = workers[id(frozen_at)]
            _signal(frozen, signal.SIGSTOP)
            _wait_until_all_is_taken_over(world, workers[id(other if frozen_at is one else one)])
            fault.release()
            _signal(frozen, signal.SIGCONT)
            fault.wait_over()
            _wait_until_it_has_its_share(world, frozen)
        world.balance(traffic.finish())
        for worker in workers.values():
            world.stop(worker)


def _first(kind: Kind, table: str, *proxies: FaultyStore) -> tuple[FaultyStore, Fault]:
    """Wait until one of the workers is within an insert."""
    planned = [(proxy, proxy.plan(kind, table)) for proxy in proxies]
    wait_for(lambda: any(fault.reached.is_set() for _, fault in planned), f"an insert into {table}")
    found = next((proxy, fault) for proxy, fault in planned if fault.reached.is_set())
    for proxy, fault in planned:
        if fault is not found[1]:
            proxy.drop(fault)
    return found


def _wait_until_all_is_taken_over(world: World, worker: Worker) -> None:
    wait_for(lambda: world.partitions(worker) == world.kafka.partitions, "the other worker to have all partitions")
    with world.client() as client:
        sql = "SELECT max(source_offset) FROM inferences GROUP BY source_partition ORDER BY source_partition"
        before = client.query(sql).result_columns[0]
        wait_for(
            lambda: all(a > b for a, b in zip(client.query(sql).result_columns[0], before, strict=True)),
            "rows of every partition",
        )


def _wait_until_it_has_its_share(world: World, worker: Worker) -> None:
    wait_for(lambda: 0 < world.partitions(worker) < world.kafka.partitions, "the frozen worker to have its share again")


def _signal(worker: Worker, number: signal.Signals) -> None:
    assert worker.process is not None
    worker.process.send_signal(number)
