"""Starts services as processes, waits until they are ready, stops all of them and leaves none behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.errors import ServiceFailed

_PR_SET_PDEATHSIG: Final = 1
_TAIL_LINES: Final = 15
_libc: Final = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Service:
    """A process to run. `ready` tells whether it can be used; `env` is all of its environment.

    Services of a higher `tier` write to, or read from, those of a lower one, and are stopped before them.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool]
    ready_seconds: float = 180.0
    stop_seconds: float = 10.0
    tier: int = 0


@dataclass(slots=True)
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """Runs services. Each has a process group of its own, so that Ctrl-C reaches the supervisor alone.

    Call it from the main thread: Linux ends a child with its parent's thread, which is what takes the services along
    when the supervisor itself is killed.
    """

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._running: list[_Running] = []

    def start(self, service: Service) -> None:
        """Start a service without waiting for it."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log = self._log_dir / f"{service.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                service.argv,
                env=dict(service.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._running.append(_Running(service, process, log))

    def wait_ready(self, name: str) -> None:
        """Wait until a service is ready. Raises `ServiceFailed` when it ends, or takes longer than it may."""
        running = self._find(name)
        deadline = time.monotonic() + running.service.ready_seconds
        while not running.service.ready():
            self.check()
            if time.monotonic() > deadline:
                reason = f"was not ready within {running.service.ready_seconds:g} s"
                raise ServiceFailed(name, reason, running.log, tail(running.log))
            time.sleep(0.05)

    def check(self) -> None:
        """Raise `ServiceFailed` when a service has ended by itself."""
        for running in self._running:
            status = running.process.poll()
            if status is not None:
                reason = f"ended with status {status}"
                raise ServiceFailed(running.service.name, reason, running.log, tail(running.log))

    def stop_all(self) -> list[str]:
        """Stop all services, tier by tier; return the names of those that had to be killed.

        Each tier is gone before the next is asked to go, so that every service can hand over what it holds.
        """
        killed = []
        for tier in sorted({running.service.tier for running in self._running}, reverse=True):
            killed += self._stop([running for running in self._running if running.service.tier == tier])
        return killed

    def stop_some(self, prefix: str) -> list[str]:
        """Stop the services whose names begin so; return the names of those that had to be killed."""
        return self._stop([running for running in self._running if running.service.name.startswith(prefix)])

    def pids(self) -> dict[str, int]:
        """Return the process id of each service."""
        return {running.service.name: running.process.pid for running in self._running}

    def _stop(self, going: Sequence[_Running]) -> list[str]:
        killed = []
        for running in going:
            if running.process.poll() is None:
                running.process.terminate()
        asked_at = time.monotonic()
        for running in going:
            left = asked_at + running.service.stop_seconds - time.monotonic()
            if not _wait(running.process, max(left, 0.0)):
                killed.append(running.service.name)
        self._running = [running for running in self._running if running not in going]
        return killed

    def _find(self, name: str) -> _Running:
        return next(running for running in self._running if running.service.name == name)


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a process; then end whatever is left of it. Return whether it went by itself."""
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """What a service started itself goes with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
