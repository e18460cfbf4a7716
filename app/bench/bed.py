"""What benchmarks of the pipeline run on: a real broker and the real engine of their own, in a temporary folder."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client

from app import settings
from app.bench.result import Say
from app.local import kafka
from app.local.ports import free_ports
from app.local.probes import answers_http, answers_kafka
from app.local.supervisor import Service, Supervisor
from app.schema import bring_up_to_date
from processors.admin import ensure_topics
from storage.client import connect

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Bed:
    """Running servers, and what processes on them must know."""

    folder: Path
    loaded: settings.Settings
    variables: dict[str, str]
    supervisor: Supervisor
    health_ports: dict[str, int]

    def start(self, name: str, *argv: str, ready: Callable[[], bool], **more: str) -> int:
        """Start a process of Python's, wait until it is ready, return its id."""
        return self.start_program(name, sys.executable, *argv, ready=ready, **more)

    def start_program(self, name: str, *argv: str, ready: Callable[[], bool], **more: str) -> int:
        """Start a process, wait until it is ready, return its id."""
        environment = {**os.environ, **self.variables, **more}
        self.supervisor.start(Service(name, argv, environment, ready, tier=1))
        self.supervisor.wait_ready(name)
        return self.supervisor.pids()[name]

    def start_worker(self, name: str) -> int:
        """Start an enrich worker, wait until it consumes, return its process id."""
        (port,) = free_ports(1)
        self.health_ports[name] = port
        health = answers_http(f"http://127.0.0.1:{port}/healthz")
        return self.start(name, "-m", "app.cli", "worker", "enrich", ready=health, INFERWATCH_WORKER_PORT=str(port))

    def start_store(self) -> None:
        """Start the store, on the folder and port that it has."""
        argv = (sys.executable, "-m", "app.cli", "store")
        ready = answers_http(f"{self.loaded.store.url}/ping")
        self.supervisor.start(Service("store", argv, {**os.environ, **self.variables}, ready))
        self.supervisor.wait_ready("store")

    def start_broker(self) -> None:
        """Start the broker."""
        argv = (sys.executable, "-m", "app.cli", "broker")
        ready = answers_kafka(lambda: self.loaded.kafka.bootstrap_servers)
        self.supervisor.start(Service("broker", argv, {**os.environ, **self.variables}, ready))
        self.supervisor.wait_ready("broker")

    def client(self) -> Client:
        """Return a client of the store."""
        return connect(self.loaded.store)


@contextmanager
def bed(say: Say, *, store: bool = True, **more: str) -> Iterator[Bed]:
    """Start a broker with all topics and, where it is wanted, a store with all tables; stop everything at the end."""
    cache = settings.load(os.environ).broker.cache_dir
    kafka.fetch(cache, say)
    with tempfile.TemporaryDirectory(prefix="inferwatch-bench-") as name:
        folder = Path(name)
        store_port, broker_port, controller_port = free_ports(3)
        variables = {
            "INFERWATCH_DATA_DIR": str(folder),
            "INFERWATCH_HOST": "127.0.0.1",
            "INFERWATCH_STORE_PORT": str(store_port),
            "INFERWATCH_BROKER_PORT": str(broker_port),
            "INFERWATCH_BROKER_CONTROLLER_PORT": str(controller_port),
            "INFERWATCH_CLICKHOUSE_URL": f"http://127.0.0.1:{store_port}",
            "INFERWATCH_CLICKHOUSE_DATABASE": "inferwatch",
            "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{broker_port}",
            "INFERWATCH_KAFKA_EMBEDDED": "false",
            "INFERWATCH_USER_HASH_SECRET": "of the benchmark",
            "INFERWATCH_LOG_LEVEL": "WARNING",
            **more,
        }
        loaded = settings.load({**os.environ, **variables})
        supervisor = Supervisor(folder / "logs")
        try:
            ground = Bed(folder, loaded, variables, supervisor, {})
            if store:
                ground.start_store()
            ground.start_broker()
            if store:
                bring_up_to_date(loaded.store, loaded.retention)
            ensure_topics(loaded.kafka)
            yield ground
        finally:
            supervisor.stop_all()


def cpu_seconds(pid: int) -> float:
    """Return what a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Return the memory a process has resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition. Raises `TimeoutError` that says for what."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {seconds:g} s")
        time.sleep(0.05)
