"""Everything that may die dies, again and again, while events flow; then the store is compared with a ledger of them.

One run, one ledger: enrich workers killed at random moments, workers that join and leave, the store killed, the broker
killed, and a store that is away for two minutes. `tests/integration/faults` has shorter runs of the same, and those
that need a proxy or a disk of their own.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client

from app.bench.balance import behind, counted, differences, expected, letters, wrong_letters
from app.bench.bed import Bed, bed, wait_until
from app.bench.ledger import PRICES, Ledger, Traffic
from app.bench.result import Outcome, Say

KILLS: Final = 60
AWAY_SECONDS: Final = 120.0
"""Of the store: twelve times the longest pause between two tries, and beyond the time-out of a statement."""

_RECORDS_PER_SECOND: Final = 40.0
_PATIENCE: Final = 300.0
_PARTITIONS: Final = "6"
"""Of four, Faust gives the third worker none: each may have two, and the first two workers keep theirs."""


def run(say: Say, *, kills: int = KILLS, seed: int = 1) -> Outcome:
    """Run all parts; every difference is said, and counted in the figures.

    Raises:
        TimeoutError: events did not get through.
    """
    with (
        _priced() as book,
        bed(say, INFERWATCH_PRICE_BOOK=str(book), INFERWATCH_KAFKA_PARTITIONS=_PARTITIONS) as ground,
    ):
        client = ground.client()
        traffic = Traffic(ground.loaded.kafka, seed, _RECORDS_PER_SECOND)
        traffic.start()
        try:
            accidents = _Accidents(ground, client, random.Random(seed), say)  # noqa: S311 - moments, not a secret
            accidents.all(kills)
            ledger = traffic.finish()
            began = time.monotonic()
            found = _compared(ground, client, ledger)
        finally:
            traffic.stop()
            client.close()
        for difference in found:
            say(f"DIFFERS: {difference}")
        accidents.stop(accidents.last)
    figures = {
        "events": float(len(ledger.events)),
        "poison": float(len(ledger.poison)),
        "differences": float(len(found)),
        **accidents.counts,
        "slowest_stop_seconds": max(accidents.stop_seconds),
        "settle_seconds": time.monotonic() - began,
    }
    return Outcome({"kills": kills, "seed": seed, "away_seconds": AWAY_SECONDS}, figures)


class _Accidents:
    """What happens, in turn. One worker, `last`, is alive between any two of these."""

    def __init__(self, ground: Bed, client: Client, rng: random.Random, say: Say) -> None:
        self.counts = dict.fromkeys(("worker_kills", "store_kills", "broker_kills", "joins", "leaves"), 0.0)
        self.stop_seconds: list[float] = []
        self.last = ""
        self._ground = ground
        self._client = client
        self._rng = rng
        self._say = say
        self._workers = 0

    def all(self, kills: int) -> None:
        """Let everything happen."""
        self.last = self._start_worker()
        for number in range(kills):
            self._say(f"Killing an enrich worker, {number + 1} of {kills}")
            self._wait_for_rows()
            self._kill(self.last)
            self.counts["worker_kills"] += 1
            self.last = self._start_worker()
        for number in range(max(1, kills // 5)):
            self._say(f"Killing the store, {number + 1} of {max(1, kills // 5)}")
            self._wait_for_rows()
            self._kill("store")
            self.counts["store_kills"] += 1
            self._ground.start_store()
        for number in range(max(1, kills // 10)):
            self._say(f"Killing the broker, {number + 1} of {max(1, kills // 10)}")
            self._wait_for_rows()
            self._kill("broker")
            self.counts["broker_kills"] += 1
            self._ground.start_broker()
        for _ in range(max(1, kills // 10)):
            self._join_and_leave()
        self._take_the_store_away()

    def stop(self, worker: str) -> None:
        """SIGTERM; note how long it took."""
        began = time.monotonic()
        if self._ground.supervisor.stop_some(worker):
            raise TimeoutError(f"{worker} did not end by itself")
        self.stop_seconds.append(time.monotonic() - began)

    def _join_and_leave(self) -> None:
        self._say("Two workers join, two leave")
        workers = [self.last, self._start_worker(), self._start_worker()]
        self.counts["joins"] += 2
        for _ in range(2):
            self._wait_for_rows()
            self.stop(workers.pop(self._rng.randrange(len(workers))))
            self.counts["leaves"] += 1
        (self.last,) = workers

    def _take_the_store_away(self) -> None:
        self._say(f"Taking the store away for {AWAY_SECONDS:g} s")
        leaving = self._start_worker()
        self._wait_for_rows()
        self._kill("store")
        back_at = time.monotonic() + AWAY_SECONDS
        self.stop(leaving)
        # Nothing to wait for: that it is away for so long is the accident.
        time.sleep(max(0.0, back_at - time.monotonic()))
        self._ground.start_store()
        self._wait_for_rows()

    def _start_worker(self) -> str:
        self._workers += 1
        name = f"enrich-{self._workers:04d}"
        self._ground.start_worker(name)
        return name

    def _kill(self, name: str) -> None:
        # At any moment of the second in which batch follows batch.
        time.sleep(self._rng.uniform(0, 1))
        os.kill(self._ground.supervisor.pids()[name], signal.SIGKILL)
        self._ground.supervisor.stop_some(name)

    def _wait_for_rows(self) -> None:
        before = self._rows()
        wait_until(lambda: self._rows() > before, _PATIENCE, "The next rows")

    def _rows(self) -> int:
        return int(str(self._client.command("SELECT count() FROM inferences")))


def _compared(ground: Bed, client: Client, ledger: Ledger) -> list[str]:
    kafka, least = ground.loaded.kafka, expected(ledger)

    def through() -> bool:
        found = counted(client)
        return all(found[table] >= least[table] for table in least)

    wait_until(through, _PATIENCE, "Storing and counting the last events")
    wait_until(lambda: behind(kafka) == 0, _PATIENCE, "Acknowledging the last records")
    return differences(ledger, client) + wrong_letters(ledger, letters(kafka))


@contextmanager
def _priced() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="inferwatch-bench-") as folder:
        book = Path(folder) / "prices.yaml"
        book.write_text(PRICES)
        yield book
