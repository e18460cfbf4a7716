"""Rollups go on once a second, in one worker, beside everything else."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from processors.enrich.rollup import Roller
from processors.producer import MemoryProducer
from storage.client import StoreSettings
from storage.errors import RollupStuck, StoreUnavailable
from storage.memory_sink import MemorySink
from storage.rollups import Advanced, RollupName, Rollups
from tests.support.waiting import until
from tests.unit.processors.makers import NOW, HandClock, enrich_step, event, processed, record

DAY = dt.date(2027, 1, 15)
IDLE: dict[RollupName, Advanced] = {"metrics_1m": Advanced(0, False), "pii_hits": Advanced(0, False)}
MORE: dict[RollupName, Advanced] = {"metrics_1m": Advanced(9, False), "pii_hits": Advanced(9, True)}


class ToldRollups(Rollups):
    """Answers what it is told to, then that there is nothing to do; counts how often it was asked."""

    def __init__(self, *answers: dict[RollupName, Advanced] | Exception) -> None:
        super().__init__(StoreSettings(), HandClock(NOW))
        self.answers = list(answers)
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def advance(self) -> dict[RollupName, Advanced]:
        self.asked += 1
        assert self.gate.wait(10)
        answer = self.answers.pop(0) if self.answers else IDLE
        if isinstance(answer, Exception):
            raise answer
        return answer


async def at_rest(roller: Roller) -> None:
    await until(lambda: roller._task is None or roller._task.done())


async def test_a_round_goes_on_for_as_long_as_any_rollup_has_more() -> None:
    rollups = ToldRollups(MORE, MORE)
    roller = Roller(rollups, lambda: True)
    roller.go_on()
    await at_rest(roller)
    assert rollups.asked == 3
    roller.go_on()
    await at_rest(roller)
    assert rollups.asked == 4


async def test_a_round_under_way_is_not_joined_by_another() -> None:
    rollups = ToldRollups()
    rollups.gate.clear()
    roller = Roller(rollups, lambda: True)
    for _ in range(5):
        roller.go_on()
        await until(lambda: rollups.asked == 1)
    rollups.gate.set()
    await at_rest(roller)
    assert rollups.asked == 1


async def test_a_worker_without_the_first_partition_looks_only_now_and_then() -> None:
    rollups = ToldRollups()
    roller = Roller(rollups, lambda: False)
    for _ in range(90):
        roller.go_on()
        await at_rest(roller)
    assert rollups.asked == 3


async def test_partitions_that_come_and_go_are_looked_at_each_time() -> None:
    rollups, mine = ToldRollups(), [False, True, False, True]
    roller = Roller(rollups, lambda: mine.pop(0))
    for asked in (0, 1, 1, 2):
        roller.go_on()
        await at_rest(roller)
        assert rollups.asked == asked


async def test_a_store_that_is_away_is_asked_again_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    rollups = ToldRollups(MORE, StoreUnavailable("http://store", "away"))
    roller = Roller(rollups, lambda: True)
    roller.go_on()
    await at_rest(roller)
    assert "Rollups wait: ClickHouse at http://store is not available" in caplog.text
    roller.go_on()
    await at_rest(roller)
    assert rollups.asked == 3


async def test_any_other_error_is_raised_the_next_time_and_those_after_it() -> None:
    roller = Roller(ToldRollups(RollupStuck("metrics_1m", DAY, 20)), lambda: True)
    roller.go_on()
    await at_rest(roller)
    for _ in range(2):
        with pytest.raises(RollupStuck):
            roller.go_on()


async def test_rows_are_acknowledged_while_rollups_are_stuck() -> None:
    rollups = ToldRollups()
    rollups.gate.clear()
    roller = Roller(rollups, lambda: True)
    one = enrich_step(MemorySink(), MemoryProducer(), roller=roller)
    assert await one.tick()
    await until(lambda: rollups.asked == 1)
    assert await processed(one, [record(event())])
    assert await one.tick()
    await one.release()
    rollups.gate.set()
    await at_rest(roller)
    assert rollups.asked == 1
