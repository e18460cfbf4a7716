"""A small Faust worker for tests: it appends what it processed to a file, and can be told to fail first.

Each line of the file is `partition offset value`. A batch is on the disk before it is acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import faust


def build(options: argparse.Namespace) -> faust.App:
    """The app; nothing is started."""
    app = faust.App(
        options.group,
        broker=f"kafka://{options.bootstrap}",
        datadir=options.work / "faust",
        store="memory://",
        value_serializer="raw",
        key_serializer="raw",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=options.session_seconds,
        broker_heartbeat_interval=options.session_seconds / 3,
        broker_commit_interval=0.5,
        broker_max_poll_interval=300.0,
        worker_redirect_stdouts=False,
    )
    source = app.topic(options.topic, value_type=bytes, acks=True)
    sink = app.topic(options.topic + ".out", value_type=bytes) if options.produce else None
    out = options.work / "processed"
    journal = options.work / "journal"
    failures = options.failures

    def note(line: str) -> None:
        with journal.open("a") as file:
            file.write(f"{time.time():.3f} {line}\n")

    # Faust waits for this before it lets records flow; on_partitions_assigned it does not wait for.
    @app.on_rebalance_complete.connect  # type: ignore[arg-type]  # faust passes the app first; mode's types do not say so
    async def assigned(app: Any, **_: Any) -> None:
        await asyncio.sleep(options.assigned_seconds)
        note(f"assigned {len(app.consumer.assignment())}")

    @app.agent(source)
    async def echo(stream: Any) -> None:
        nonlocal failures
        first = True
        async for events in stream.noack_take(options.batch, within=options.within):
            if first:
                note("first record")
                first = False
            while True:
                try:
                    if failures > 0:
                        failures -= 1
                        raise OSError("the sink is down")
                    write(out, events)
                    break
                except OSError:
                    note("retry")
                    await asyncio.sleep(0.05)
            for event in events:
                if event.value == b"poison":
                    note("crash")
                    await app.crash(RuntimeError("fatal"))
                    return
                if sink is not None:
                    delivery = await sink.send(key=event.key, value=event.value)
                    await delivery
            for event in events:
                await stream.ack(event)

    note("built")
    return app


def write(out: Path, events: list[Any]) -> None:
    lines = [f"{e.message.partition} {e.message.offset} {e.value.decode()} {time.time():.3f}\n" for e in events]
    with out.open("a") as file:
        file.writelines(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--group", default="echo")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--within", type=float, default=0.2)
    parser.add_argument("--failures", type=int, default=0)
    parser.add_argument("--session-seconds", type=float, default=6.0)
    parser.add_argument("--assigned-seconds", type=float, default=0.0)
    parser.add_argument("--produce", action="store_true")
    app = build(parser.parse_args())
    worker = faust.Worker(app, loglevel="INFO", redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
