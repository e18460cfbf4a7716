"""docker-compose.yml without Docker: each service's stated command and health check, run as processes."""

from __future__ import annotations

import contextlib
import graphlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.compose.programs import PROGRAMS, Program, Programs
from tests.support import compose

READY_SECONDS = 120.0


def in_order() -> list[str]:
    """Return the services' names, each after those it needs."""
    services = compose.services()
    return list(graphlib.TopologicalSorter({name: service.needs for name, service in services.items()}).static_order())


class Project:
    """Starts services when they are asked for, after those they need."""

    def __init__(self, folder: Path) -> None:
        self.services = compose.services()
        self._folder = folder
        self._made = Programs(folder, self.services)
        self.relocation = self._made.relocation
        self._programs: dict[str, Program] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: set[str] = set()

    def start(self, name: str) -> None:
        """Start a service without waiting for anything."""
        if name in self._processes:
            return
        program = self._programs[name] = self._made.program(self.services[name])
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                program.argv,
                env=program.environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def up(self, name: str) -> None:
        """Start a service, and before it what it needs; return once it is healthy or, where it should, has ended."""
        if name in self._ready:
            return
        service = self.services[name]
        for needed in service.needs:
            self.up(needed)
        self.start(name)
        if service.one_shot:
            assert self._processes[name].wait(READY_SECONDS) == 0, self.log(name)
        else:
            self._await_health(name)
        self._ready.add(name)

    def healthy(self, name: str) -> bool:
        """Run the stated health check once, as Docker does: too slow is not healthy."""
        service = self.services[name]
        command = self.relocation.words(name, service.health_check)
        timeout = compose.seconds(service.spec["healthcheck"]["timeout"])
        environment = self._programs[name].environment
        path = environment["PATH"] if name != "triton" else PROGRAMS
        program = shutil.which(command[0], path=path)
        assert program is not None, f"the health check of {name} needs {command[0]}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                (program, *command[1:]), env={**environment, "PATH": path}, cwd=self._folder, timeout=timeout,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            return done.returncode == 0
        return False

    def stop(self, name: str) -> int:
        """SIGTERM; return the exit status, or fail where the service outlives its grace period."""
        process = self._processes[name]
        process.terminate()
        try:
            return process.wait(self.services[name].stop_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} had to be killed:\n{self.log(name)}") from None

    def log(self, name: str) -> str:
        """Return the end of what a service said."""
        return self._log(name).read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """Leave no process and no shared memory behind."""
        for process in reversed(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._made.close()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _await_health(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.healthy(name):
            status = self._processes[name].poll()
            assert status is None, f"{name} ended with {status}:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self.log(name)}"
            time.sleep(0.1)


@contextmanager
def running_project(folder: Path) -> Iterator[Project]:
    """All services stopped, and none left at the end."""
    project = Project(folder)
    try:
        yield project
    finally:
        project.close()
