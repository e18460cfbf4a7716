"""A worker whose store is away while traffic goes on: how much memory it takes, how far behind it says that it is."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Final
from urllib.request import urlopen

from app.bench.bed import bed, resident_megabytes, wait_until
from app.bench.pipeline import produce
from app.bench.result import Outcome, Say

EVENTS: Final = 1_000_000
_BEFORE: Final = 100_000
_STEADY_SECONDS: Final = 20.0


def run(say: Say, *, events: int = EVENTS, records_of: int = 100) -> Outcome:
    """Kill the store, produce, watch the worker's memory until it no longer grows, start the store, wait for all rows.

    Raises:
        TimeoutError: the worker does not catch up.
    """
    with bed(say) as ground:
        worker = ground.start_worker("enrich")
        client = ground.client()

        def rows() -> int:
            return int(str(client.command("SELECT count() FROM inferences")))

        say(f"Warming up with {_BEFORE:,} events")
        produce(ground, _BEFORE, records_of)
        wait_until(lambda: rows() >= _BEFORE, 120, "Storing the first events")
        warm = resident_megabytes(worker)
        store = ground.supervisor.pids()["store"]
        say(f"Killing the store, then producing {events:,} events")
        os.kill(store, signal.SIGKILL)
        ground.supervisor.stop_some("store")
        produce(ground, events, records_of, seed=2)
        most = _most_memory(worker, say)
        lag = _lag(ground.health_ports["enrich"])
        say(f"{most:.0f} MB resident, {lag:,} records behind; starting the store again")
        ground.start_store()
        began = time.monotonic()
        wait_until(lambda: rows() >= _BEFORE + events, 60 + events / 1_000, "Catching up")
        seconds = time.monotonic() - began
        different = int(str(client.command("SELECT uniqExact(event_id) FROM inferences")))
        stored = rows()
    return Outcome(
        {"events": events, "records_of": records_of},
        {
            "rss_mb_before": warm,
            "rss_mb_without_store": most,
            "rss_growth_mb": most - warm,
            "lag_records_shown": lag,
            "lag_records": events / records_of,
            "missing_events": _BEFORE + events - different,
            "repeated_events": stored - different,
            "catch_up_events_per_second": events / seconds,
        },
    )


def _most_memory(pid: int, say: Say) -> float:
    """Return the highest figure, once it has not grown for a while."""
    most, since = 0.0, time.monotonic()

    def steady() -> bool:
        nonlocal most, since
        now = resident_megabytes(pid)
        if now > most + 1:
            most, since = now, time.monotonic()
        return time.monotonic() - since > _STEADY_SECONDS

    wait_until(steady, 300, "Memory that stops growing")
    say(f"Memory has not grown for {_STEADY_SECONDS:g} s")
    return most


def _lag(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        lag = json.load(answer)["lag"]
    return sum(behind for name, behind in lag.items() if name.startswith("inferwatch.inferences-"))
