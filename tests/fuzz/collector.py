"""Fuzz the collector: `python -m tests.fuzz.collector --minutes 10 [--seed N]`. See README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from inferwatch import topics
from ingest.api_keys import create
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.fuzz.good import Good
from tests.fuzz.hostile import Hostile
from tests.fuzz.schema import send_what_the_schema_says
from tests.fuzz.tally import Tally
from tests.support.collector import CollectorProcess, events_of
from tests.support.kafka import running_kafka
from tests.support.waiting import DEADLINE

_JOINED_SECONDS: Final = 60.0
_IDS: Final = {
    topics.INFERENCES: ("event_id", "service"),
    topics.FEEDBACK: ("feedback_id",),
    topics.TELEMETRY: ("report_id",),
}
"""Where good events are in Kafka, and the fields by which they are known."""


def fuzz(bootstrap: str, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Fuzz for so long, then read Kafka; return the figures, `problems` empty where nothing is wrong."""
    _, key = create(folder / "keys.json", time.time(), team="fuzz")
    running = CollectorProcess(bootstrap, folder / "collector.log", {"INFERWATCH_API_KEYS": str(folder / "keys.json")})
    tally = Tally()
    running.start()
    try:
        asyncio.run(_send(running, key, tally, seconds, seed))
        stored = _stored_once_joined(bootstrap, tally)
        status = running.end(signal.SIGTERM)
    finally:
        if running.process is not None and running.process.poll() is None:
            running.end(signal.SIGKILL)
    if status != 0:
        tally.problem(f"the collector ended with {status}")
    if "Traceback" in (log := running.log.read_text(errors="replace")):
        tally.problem(f"the collector's log: {log[log.index('Traceback') :][:2000]}")
    return {"seconds": seconds, "seed": seed, **tally.found(stored)}


async def _send(running: CollectorProcess, key: str, tally: Tally, seconds: float, seed: int) -> None:
    stop, stop_thread = asyncio.Event(), threading.Event()
    hostile = Hostile(running, key, tally, stop, seed)
    thread = threading.Thread(target=send_what_the_schema_says, args=(running, key, tally, stop_thread, seed))
    thread.start()
    tasks = [
        asyncio.create_task(each)
        for each in (
            Good(running, key, tally, stop).run(),
            hostile.over_http(),
            hostile.over_http(),
            hostile.over_grpc(),
            hostile.over_sockets(),
        )
    ]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    stop.set()
    stop_thread.set()
    await asyncio.gather(*tasks)
    await asyncio.to_thread(thread.join, DEADLINE)
    if done:
        tally.problem("a sender ended before its time")


def _stored_once_joined(bootstrap: str, tally: Tally) -> Counter[str]:
    """Return how often Kafka holds each id; CloudEvents are acknowledged before they are joined."""
    deadline = time.monotonic() + _JOINED_SECONDS
    while True:
        stored = Counter(
            event[field]
            for topic, fields in _IDS.items()
            for event in events_of(bootstrap, topic)
            for field in fields
            if event.get(field)
        )
        if all(stored[event_id] for event_id in tally.good) or time.monotonic() > deadline:
            return stored
        time.sleep(1)


def main() -> int:
    """Fuzz with a broker of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_kafka(Path(name)) as kafka:
        ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap))
        figures = fuzz(kafka.bootstrap, Path(name), 60 * given.minutes, given.seed)
    print(json.dumps(figures, indent=2))
    return 1 if figures["problems"] or figures["lost"] or figures["repeated"] else 0


if __name__ == "__main__":
    sys.exit(main())
