"""A store that is away, answers too late or breaks off: the worker waits, and each event counts once."""

from __future__ import annotations

import threading
from typing import Final

import pytest

from tests.support.faulty_store import Kind, faulty_store
from tests.support.ledger import World

pytestmark = pytest.mark.timeout(600)
AWAY_SECONDS: Final = 15.0
"""Beyond the longest pause between two tries. `inferwatch bench faults` has the full two minutes."""

TABLES: Final = ("inferences", "metrics_1m", "metrics_1h", "pii_hits")
ACCIDENTS: Final[dict[Kind, tuple[str, ...]]] = {
    **dict.fromkeys(("cut", "answer lost", "refused"), TABLES),
    "answer too late": TABLES[:2],
}


def test_whatever_becomes_of_an_insert_its_rows_count_once(world: World) -> None:
    with faulty_store(world.store.url) as proxy, world.traffic(seed=2) as traffic:
        worker = world.start_worker(proxy.url, INFERWATCH_CLICKHOUSE_QUERY_SECONDS="1")
        for kind, tables in ACCIDENTS.items():
            faults = [proxy.plan(kind, table) for table in tables]
            for fault in faults:
                fault.wait_reached()
                fault.release()
                fault.wait_over()
        world.balance(traffic.finish())
        world.stop(worker)


def test_an_answer_that_is_lost_again_and_again_repeats_nothing(world: World) -> None:
    with faulty_store(world.store.url) as proxy, world.traffic(seed=3) as traffic:
        worker = world.start_worker(proxy.url)
        for _ in range(10):
            fault = proxy.plan("answer lost")
            fault.wait_over()
        world.balance(traffic.finish())
        world.stop(worker)


@pytest.mark.parametrize("way", ["refused connections", "503"])
def test_a_store_that_is_away_is_waited_for_and_a_worker_that_waits_stops_soon(world: World, way: str) -> None:
    with faulty_store(world.store.url) as proxy, world.traffic(seed=4) as traffic:
        waiting, leaving = world.start_worker(proxy.url), world.start_worker(proxy.url)
        world.wait_for_rows()
        back = threading.Timer(AWAY_SECONDS, proxy.come_back)
        if way == "503":
            proxy.down = True
        else:
            proxy.refuse()
        back.start()
        before = world.rows()
        world.wait_for_log(leaving, "trying again")
        world.stop(leaving)
        back.join()
        assert world.rows() <= before + 1, "the store was not away"
        world.wait_for_rows()
        world.balance(traffic.finish())
        world.stop(waiting)
