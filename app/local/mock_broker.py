"""A Kafka broker in memory, for a first look where there is no Java: librdkafka's own mock cluster.

What it does not keep, and says so at start: everything is gone when the process ends; each partition holds about
5 MiB and drops its oldest records silently beyond that; topics appear on first use, always with 4 partitions, and
cannot be created, altered or deleted; there is no authentication.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException, Producer

from app.local.errors import MockBrokerFailed

log = logging.getLogger(__name__)

WARNING = (
    "The in-memory broker is for a first look only: about 5 MiB a partition, the oldest records are dropped "
    "silently, and everything is gone when it stops. Use a real Kafka for anything you want to keep."
)
_START_SECONDS = 10.0


@dataclass(frozen=True)
class MockBrokerSettings:
    """Where the address is written; librdkafka chooses the port itself, on 127.0.0.1."""

    address_file: Path


def serve(settings: MockBrokerSettings, on_ready: Callable[[str], None] | None = None) -> None:
    """Hold the mock cluster until SIGTERM or SIGINT. Call it on the main thread of a process of its own.

    The address file gets one JSON object, `{"bootstrap": "127.0.0.1:…", "pid": …}`; it appears complete or not at
    all, and is removed at the end.

    Raises
    ------
    MockBrokerFailed
        The cluster did not come up.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.warning(WARNING)
    # The cluster lives in this client, as long as the client does, on threads of librdkafka's own.
    client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": ""}, logger=log)
    bootstrap = _bootstrap(client)
    _write(settings.address_file, {"bootstrap": bootstrap, "pid": os.getpid()})
    log.info("The in-memory broker answers on %s", bootstrap)
    try:
        if on_ready is not None:
            on_ready(bootstrap)
        # Waiting in slices: a signal's handler runs between them, on every platform.
        while not stop.wait(0.2):
            client.poll(0)
    finally:
        settings.address_file.unlink(missing_ok=True)


def _bootstrap(client: Producer) -> str:
    try:
        brokers = client.list_topics(timeout=_START_SECONDS).brokers
    except KafkaException as error:
        raise MockBrokerFailed(_START_SECONDS) from error
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())


def _write(file: Path, content: dict[str, str | int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(file)


def main() -> None:
    """`python -m app.local.mock_broker --address-file FILE`."""
    parser = argparse.ArgumentParser(prog="python -m app.local.mock_broker", description=__doc__)
    parser.add_argument("--address-file", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve(MockBrokerSettings(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
