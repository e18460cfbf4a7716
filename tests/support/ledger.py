"""Workers between a broker and a store that meet with accidents, and what must be there after any of them."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from clickhouse_connect.driver.client import Client

from app.bench.balance import behind, counted, differences, expected, letters, wrong_letters
from app.bench.ledger import PRICES, Ledger, Traffic
from inferwatch import topics
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from storage.client import StoreSettings, connect
from storage.migrate import migrate
from tests.support.clickhouse import RunningStore
from tests.support.kafka import RunningKafka
from tests.support.made_ledgers import without_topics
from tests.support.waiting import wait_for
from tests.support.workers import Worker, variables_for

SESSION_SECONDS: Final = 2.0
STOP_SECONDS: Final = 5.0

_STORED: Final = "SELECT source_partition, max(source_offset) FROM inferences GROUP BY ALL ORDER BY ALL"
_MARKS: Final = (
    "SELECT mark_partition, max(mark_offset) FROM metrics_1m WHERE environment = '' GROUP BY ALL ORDER BY ALL"
)


@dataclass
class World:
    """A broker, a store with a database of this test, and the enrich workers between them."""

    kafka: KafkaSettings
    store: StoreSettings
    folder: Path
    broker: RunningKafka
    server: RunningStore
    workers: list[Worker] = field(default_factory=list)
    stop_seconds: list[float] = field(default_factory=list)

    def start_worker(self, url: str | None = None, **more: str) -> Worker:
        """Start a worker, on the store or on what stands at `url` before it; wait until it consumes."""
        variables = variables_for(
            self.kafka.bootstrap_servers,
            self.store,
            self.folder,
            INFERWATCH_PRICE_BOOK=str(self.folder / "prices.yaml"),
            INFERWATCH_KAFKA_PARTITIONS=str(self.kafka.partitions),
            INFERWATCH_KAFKA_SESSION_SECONDS=str(SESSION_SECONDS),
            INFERWATCH_LOG_LEVEL="WARNING",
            **({} if url is None else {"INFERWATCH_CLICKHOUSE_URL": url}),
            **more,
        )
        worker = Worker("enrich", variables, self.folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        worker.start()
        return worker

    def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        assert worker.end(signal.SIGKILL) == -signal.SIGKILL, self._told(worker)

    def stop(self, worker: Worker) -> float:
        """SIGTERM: the worker has to go by itself, soon, with status 0. Return the seconds it took."""
        began = time.monotonic()
        status = worker.end(signal.SIGTERM)
        seconds = time.monotonic() - began
        assert status == 0, self._told(worker)
        assert seconds < STOP_SECONDS, self._told(worker)
        self.stop_seconds.append(seconds)
        return seconds

    def end(self) -> None:
        """Leave no worker behind."""
        for worker in self.running():
            worker.end(signal.SIGKILL)

    def running(self) -> list[Worker]:
        """Return the workers that run."""
        return [worker for worker in self.workers if worker.process is not None and worker.process.poll() is None]

    def partitions(self, worker: Worker) -> int:
        """Return how many partitions of the inferences a worker has; 0 where it does not answer."""
        try:
            with urlopen(f"http://127.0.0.1:{worker.port}/healthz", timeout=5) as response:
                names = json.load(response)["partitions"]
        except OSError:
            return 0
        return sum(name.startswith(f"{topics.INFERENCES}-") for name in names)

    def wait_for_log(self, worker: Worker, text: str, since: int = 0) -> None:
        """Wait until a worker says something, after so many characters that it said before."""
        wait_for(lambda: text in worker.log.read_text(errors="replace")[since:], f"{text!r} in {worker.log}")

    def rows(self) -> int:
        """Return how many rows there are."""
        with self.client() as client:
            return int(str(client.command("SELECT count() FROM inferences")))

    def wait_for_rows(self, more: int = 1) -> None:
        """Wait until there are some more rows than now."""
        before = self.rows()
        wait_for(lambda: self.rows() >= before + more, f"{more} rows more than {before}")

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the store itself."""
        opened = connect(self.store)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def traffic(self, seed: int, records_per_second: float = 20.0) -> Iterator[Traffic]:
        """Events that flow."""
        traffic = Traffic(self.kafka, seed, records_per_second)
        traffic.start()
        try:
            yield traffic
        finally:
            traffic.stop()

    def balance(self, ledger: Ledger) -> None:
        """Wait until everything is through, then everything must be what the ledger says."""
        assert ledger.events, "nothing was produced"
        assert ledger.poison, "no poison was produced"
        with self.client() as client:
            self._wait_until_counted(client, expected(ledger))
            wait_for(lambda: behind(self.kafka) == 0, "everything to be acknowledged")
            found = differences(ledger, client) + wrong_letters(ledger, letters(self.kafka))
        assert not found, "\n".join(found)

    def _wait_until_counted(self, client: Client, least: Mapping[str, int]) -> None:
        found: dict[str, int] = {}

        def done() -> bool:
            found.update(counted(client))
            return all(found[table] >= least[table] for table in least)

        try:
            wait_for(done, f"{least} to be stored and counted")
        except AssertionError as error:
            marks = client.query(_MARKS).result_rows
            stored = client.query(_STORED).result_rows
            left = behind(self.kafka)
            raise AssertionError(
                f"{error}: {found}, {left} records left, marks {marks}, rows up to {stored}"
            ) from error

    def _told(self, worker: Worker) -> str:
        return worker.log.read_text(errors="replace")[-4000:]


@contextmanager
def made_world(kafka: RunningKafka, store: RunningStore, folder: Path, partitions: int = 4) -> Iterator[World]:
    """A broker and a store, with empty topics and an empty database; at the end no worker is left."""
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=partitions)
    without_topics(settings, *topics.ALL)
    ensure_topics(settings)
    database = StoreSettings(url=store.url, database=f"faults_{uuid.uuid4().hex}")
    migrate(database)
    (folder / "prices.yaml").write_text(PRICES)
    world = World(settings, database, folder, kafka, store)
    try:
        yield world
    finally:
        world.end()
