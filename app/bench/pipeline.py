"""Real Kafka, the enrich worker, the real engine: events a second, what one costs, how far that is from the floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from confluent_kafka import Producer

from app.bench.bed import Bed, bed, cpu_seconds, resident_megabytes, wait_until
from app.bench.result import Outcome, Say
from app.bench.traffic import lines
from app.local.ports import free_ports
from app.local.probes import answers_http
from inferwatch import topics
from storage.client import connect
from storage.migrate import migrate

BATCHED: Final = 100
EVENTS: Final = 5_000_000
_SINGLE_SHARE: Final = 0.06
_SHARED_SHARE: Final = 0.2
_FLOOR_SHARE: Final = 0.2
_SLOWEST: Final = 1_000
"""Events a second below which a run is given up."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How far workers were at a moment.

    Attributes:
        rows: stored so far.
        cpu: seconds used by all workers.
        store: seconds used by the store.
        resident: megabytes of the largest worker.
    """

    at: float
    rows: int
    cpu: float
    store: float
    resident: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run over `events`, from the first tenth on."""

    samples: Sequence[Sample]

    @property
    def events_per_second(self) -> float:
        """Events stored a second."""
        first, last = self.samples[0], self.samples[-1]
        return (last.rows - first.rows) / (last.at - first.at)

    @property
    def cpu_seconds_per_million(self) -> float:
        """CPU of the workers, user and system."""
        first, last = self.samples[0], self.samples[-1]
        return (last.cpu - first.cpu) / (last.rows - first.rows) * 1e6

    @property
    def store_seconds_per_million(self) -> float:
        """CPU of the store, user and system: inserts, merges and rollups."""
        first, last = self.samples[0], self.samples[-1]
        return (last.store - first.store) / (last.rows - first.rows) * 1e6

    @property
    def resident_growth(self) -> float:
        """Megabytes: the most in the last fifth of the rows less the most in the second fifth."""
        early, late = self._fifth(2), self._fifth(5)
        return max(s.resident for s in late) - max(s.resident for s in early or late)

    @property
    def cost_growth(self) -> float:
        """CPU of workers and store for a row of the last fifth, as a multiple of that for one of the second fifth."""
        costs = []
        for fifth in (self._fifth(2), self._fifth(5)):
            if len(fifth) < 2:
                return 1.0
            used = fifth[-1].cpu + fifth[-1].store - fifth[0].cpu - fifth[0].store
            costs.append(used / max(fifth[-1].rows - fifth[0].rows, 1))
        return costs[1] / costs[0]

    def _fifth(self, number: int) -> list[Sample]:
        total = self.samples[-1].rows
        return [s for s in self.samples if (number - 1) / 5 * total <= s.rows <= number / 5 * total]


def run(say: Say, *, events: int = EVENTS, records_of: int = 0) -> Outcome:
    """Run all parts, or with `records_of` only one worker on records of so many events.

    Raises:
        TimeoutError: workers are slower than anyone could want.
    """
    figures: dict[str, float] = {}
    with bed(say) as ground:
        if records_of:
            one = _measure(ground, say, events, records_of, workers=1)
            figures |= _of(one, "")
            figures["rss_growth_mb"], figures["cost_growth_ratio"] = one.resident_growth, one.cost_growth
        else:
            batched = _measure(ground, say, events, BATCHED, workers=1)
            single = _measure(ground, say, int(events * _SINGLE_SHARE), 1, workers=1)
            shared = _measure(ground, say, int(events * _SHARED_SHARE), BATCHED, workers=2)
            floor = _floor(ground, say, int(events * _FLOOR_SHARE))
            figures |= _of(batched, "_batched") | _of(single, "_single") | _of(shared, "_two_workers")
            figures["floor_events_per_second"] = floor.events_per_second
            figures["floor_cpu_seconds_per_million"] = floor.cpu_seconds_per_million
            figures["two_worker_cost_ratio"] = shared.cpu_seconds_per_million / batched.cpu_seconds_per_million
            figures["rss_growth_mb"], figures["cost_growth_ratio"] = batched.resident_growth, batched.cost_growth
        figures |= _disk(ground)
    return Outcome({"events": events, "partitions": ground.loaded.kafka.partitions}, figures)


def _of(outcome: Run, suffix: str) -> dict[str, float]:
    return {
        f"events_per_second{suffix}": outcome.events_per_second,
        f"cpu_seconds_per_million{suffix}": outcome.cpu_seconds_per_million,
        f"store_cpu_seconds_per_million{suffix}": outcome.store_seconds_per_million,
        f"rss_mb{suffix}": max(sample.resident for sample in outcome.samples),
    }


def _measure(ground: Bed, say: Say, events: int, records_of: int, workers: int) -> Run:
    counted = ground.client()

    def rows() -> int:
        return int(str(counted.command("SELECT count() FROM inferences")))

    before = rows()
    say(f"Producing {events:,} events, {records_of} in a record")
    produce(ground, events, records_of)
    say(f"{workers} enrich worker{'s' if workers > 1 else ''}")
    pids = [ground.start_worker(f"enrich-{before}-{number}") for number in range(workers)]
    try:
        return Run(_watch(ground, pids, lambda: rows() - before, events, say))
    finally:
        ground.supervisor.stop_some(f"enrich-{before}-")


def _floor(ground: Bed, say: Say, events: int) -> Run:
    say("The floor: decode and insert, nothing between")
    name = "floor"
    url = ground.loaded.store.url
    store = type(ground.loaded.store)(url=url, database=name)
    migrate(store)
    client = connect(store)
    (port,) = free_ports(1)
    more = {"INFERWATCH_CLICKHOUSE_DATABASE": name, "INFERWATCH_WORKER_PORT": str(port)}
    health = answers_http(f"http://127.0.0.1:{port}/healthz")
    pid = ground.start(name, "-m", "app.bench.floor", ready=health, **more)
    try:
        count = lambda: int(str(client.command("SELECT count() FROM inferences")))  # noqa: E731
        return Run(_watch(ground, [pid], count, events, say))
    finally:
        ground.supervisor.stop_some(name)


def _watch(ground: Bed, pids: Sequence[int], rows: Callable[[], int], events: int, say: Say) -> list[Sample]:
    samples: list[Sample] = []
    store = ground.supervisor.pids()["store"]
    told = time.monotonic()

    def done() -> bool:
        nonlocal told
        ground.supervisor.check()
        stored = rows()
        if stored >= events / 10:
            resident = max(map(resident_megabytes, pids))
            worked = sum(map(cpu_seconds, pids))
            samples.append(Sample(time.monotonic(), stored, worked, cpu_seconds(store), resident))
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"  {stored:,} of {events:,} events stored")
        return stored >= events

    wait_until(done, 60 + events / _SLOWEST, f"Storing {events:,} events")
    return samples


def produce(ground: Bed, events: int, records_of: int, seed: int = 1) -> None:
    """Produce events, round and round the partitions, and wait until Kafka has all of them.

    Of one seed the first events are the same ones each time.
    """
    kafka = ground.loaded.kafka
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "queue.buffering.max.kbytes": 256 << 10,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number, record in enumerate(records(lines(events, time.time(), seed), records_of)):
        while True:
            try:
                producer.produce(topics.INFERENCES, record, partition=number % kafka.partitions)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise TimeoutError("The broker did not take all events within a minute")


def records(events: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield records of `size` events each; the last one may have fewer."""
    while some := list(islice(events, size)):
        yield b"\n".join(some)


def _disk(ground: Bed) -> dict[str, float]:
    client = ground.client()
    rows = int(str(client.command("SELECT count() FROM inferences")))
    size = int(
        str(
            client.command(
                "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {name:String}",
                {"name": ground.loaded.store.database},
            )
        )
    )
    sample = list(lines(10_000, time.time()))
    raw = sum(map(len, sample)) / len(sample)
    per_event = size / rows
    return {"disk_bytes_per_event": per_event, "disk_bytes_per_raw_byte": per_event / raw, "raw_bytes_per_event": raw}
