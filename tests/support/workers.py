"""The real workers as processes, on a real broker and the real engine, with topics of their own database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from storage.client import StoreSettings
from tests.support.triton import free_ports
from tests.support.waiting import DEADLINE, wait_for

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Worker:
    """`inferwatch worker ROLE` as a process."""

    role: str
    variables: Mapping[str, str]
    log: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until partitions are assigned."""
        env = {**os.environ, **self.variables, "INFERWATCH_WORKER_PORT": str(self.port)}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "worker", self.role],
                cwd=ROOT,
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._consumes, f"worker {self.role} to consume; its log: {self.log}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit status."""
        assert self.process is not None, "not started"
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def _consumes(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1) as response:
                return bool(json.load(response)["partitions"])
        except (URLError, OSError):
            return False


def variables_for(bootstrap: str, store: StoreSettings, data_dir: Path, **more: str) -> dict[str, str]:
    """Return the environment of workers."""
    return {
        "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "INFERWATCH_CLICKHOUSE_URL": store.url,
        "INFERWATCH_CLICKHOUSE_DATABASE": store.database,
        "INFERWATCH_DATA_DIR": str(data_dir),
        "INFERWATCH_USER_HASH_SECRET": "of the tests",
        **more,
    }


@contextmanager
def running_worker(role: str, variables: Mapping[str, str], log: Path) -> Iterator[Worker]:
    """A worker that is stopped at the end, and must then end by itself with status 0."""
    worker = Worker(role, variables, log)
    try:
        worker.start()
        yield worker
        assert worker.end(signal.SIGTERM) == 0, log.read_text(errors="replace")[-3000:]
    finally:
        if worker.process is not None and worker.process.poll() is None:
            worker.end(signal.SIGKILL)
