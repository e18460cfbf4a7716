"""A ClickHouse for tests: the embedded server as a process of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass
class RunningStore:
    """One embedded server. `kill` and `start` keep folder and port."""

    path: Path
    arguments: tuple[str, ...] = ()
    url: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def log(self) -> Path:
        return self.path.with_name(self.path.name + ".log")

    def start(self) -> None:
        """Start on the same port as before, or on a free one the first time; returns once it answers."""
        port = str(self.port) if self.url else "0"
        command = [sys.executable, "-m", "storage.embedded", "--path", str(self.path), "--port", port, *self.arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        self.url = json.loads(_first_line(self._process, START_SECONDS, self.log))["url"]

    def stop(self) -> float:
        """SIGTERM; returns the seconds it took to go."""
        return self._end(signal.SIGTERM)

    def kill(self) -> float:
        """SIGKILL; returns the seconds it took to go."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> float:
        began = time.monotonic()
        process = self.process
        if process.poll() is None:
            os.kill(process.pid, number)
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        return time.monotonic() - began

    def client(self, **options: Any) -> Client:
        """An ordinary clickhouse-connect client."""
        options.setdefault("autogenerate_session_id", False)
        return clickhouse_connect.get_client(host=self.host, port=self.port, **options)


@contextmanager
def running_store(path: Path, *arguments: str) -> Iterator[RunningStore]:
    """The embedded server over `path` on a free port; `arguments` are those of `python -m storage.embedded`."""
    store = RunningStore(path, tuple(arguments))
    store.start()
    try:
        yield store
    finally:
        if store.process.poll() is None:
            try:
                store.stop()
            except subprocess.TimeoutExpired:
                store.kill()
                raise


def _first_line(process: subprocess.Popen[bytes], seconds: float, log: Path) -> bytes:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], seconds)
    line: bytes = process.stdout.readline() if readable else b""
    if not line:
        process.kill()
        process.wait()
        process.stdout.close()
        raise AssertionError(f"the store did not start: {log.read_text(errors='replace')[-2000:]}")
    return line
