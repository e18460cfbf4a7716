"""A real Triton with its real models, for as long as a test session needs it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from serving import PackageUnfit, TritonSettings, prepare
from serving.launch import clear_shared_memory

ENDLESS: Final[dict[str, Any]] = {
    "text_input": "Write a very long story about a lighthouse keeper, with many chapters.",
    "max_tokens": 1900,
    "temperature": 0.0,
}
"""A request that the language model goes on with until it may make no more tokens: half a minute on two cores."""

# Seconds until ready on two busy cores, with much to spare.
START_DEADLINE = 90.0
# Seconds from SIGTERM until SIGKILL; Triton gives requests in flight three.
STOP_DEADLINE = 15.0


@dataclass(frozen=True)
class RunningTriton:
    """Where it listens; gRPC addresses have no scheme, as tritonclient wants them."""

    http_url: str
    grpc_url: str
    metrics_url: str
    pid: int
    settings: TritonSettings

    def stubs(self) -> list[int]:
        """The processes that run the models."""
        return children(self.pid)


@contextlib.contextmanager
def running_triton(
    tmp_path_factory: pytest.TempPathFactory, models: tuple[str, ...] = ("smollm2", "minilm")
) -> Iterator[RunningTriton]:
    """Starts Triton on free ports, waits until it is ready, and leaves no process behind."""
    folder = tmp_path_factory.mktemp("triton")
    http, grpc, metrics = free_ports(3)
    settings = TritonSettings(
        work_dir=folder / "work",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        models=models,
        environment=fitting_environment(folder),
    )
    launch = prepare(settings)
    log = folder / "triton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.argv, env=launch.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _await_ready(process, f"http://127.0.0.1:{http}/v2/health/ready", log)
        yield RunningTriton(
            http_url=f"http://127.0.0.1:{http}",
            grpc_url=f"127.0.0.1:{grpc}",
            metrics_url=f"http://127.0.0.1:{metrics}/metrics",
            pid=process.pid,
            settings=settings,
        )
    finally:
        stop(process)
        clear_shared_memory(settings)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for what is left; returns when the server and its stubs are gone."""
    stubs = children(process.pid)
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if not gone(stubs, within=STOP_DEADLINE):
        for stub in stubs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stub, signal.SIGKILL)
        raise AssertionError(f"stubs {stubs} outlived Triton {process.pid} and were killed")


def gone(processes: list[int], within: float) -> bool:
    """Whether all processes end within some seconds."""
    deadline = time.monotonic() + within
    while any(running(pid) for pid in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    return _stat(pid)[:1] not in ([], ["Z"])


def children(pid: int) -> list[int]:
    """The running child processes of a process."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in found if _stat(child)[1:2] == [str(pid)] and running(child)]


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def fitting_environment(folder: Path) -> Path | None:
    """None where Triton can run in this Python environment, else the `.venv-triton` beside it."""
    http, grpc, metrics = free_ports(3)
    own = TritonSettings(work_dir=folder / "probe", http_port=http, grpc_port=grpc, metrics_port=metrics)
    try:
        prepare(own)
    except PackageUnfit:
        beside = Path(sys.prefix).with_name(".venv-triton")
        if not beside.is_dir():
            raise
        return beside
    return None


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while True:
        if process.poll() is not None:
            raise AssertionError(f"Triton ended with {process.returncode}:\n{_tail(log)}")
        refused = contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError)
        with refused, urllib.request.urlopen(url, timeout=2):
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"Triton is not ready after {START_DEADLINE:g} s:\n{_tail(log)}")
        time.sleep(0.02)


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-4000:]
