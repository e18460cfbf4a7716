"""The supervisor with real processes: order, stubbornness, failure, and its own sudden end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import ServiceFailed
from app.local.supervisor import Service, Supervisor
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]

OBEYS = """
import pathlib, signal, sys
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def go(*_):
    with (folder / "order").open("a") as order:
        order.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, go)
(folder / name).touch()
while True:
    signal.pause()
"""
IGNORES = OBEYS.replace("signal.signal(signal.SIGTERM, go)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")


def service(folder: Path, name: str, program: str = OBEYS, tier: int = 0, stop_seconds: float = 10.0) -> Service:
    argv = (sys.executable, "-c", program, str(folder), name)
    return Service(name, argv, os.environ, (folder / name).exists, 30.0, stop_seconds, tier)


def test_higher_tiers_are_gone_before_lower_ones_are_asked_to_go(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "logs")
    for name, tier in (("store", 0), ("worker", 1), ("sidecar", 2)):
        supervisor.start(service(tmp_path, name, tier=tier))
        supervisor.wait_ready(name)
    assert supervisor.stop_all() == []
    assert (tmp_path / "order").read_text().split() == ["sidecar", "worker", "store"]
    assert supervisor.pids() == {}


def test_a_service_that_does_not_go_is_killed_and_named(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "logs")
    supervisor.start(service(tmp_path, "deaf", IGNORES, stop_seconds=0.2))
    supervisor.wait_ready("deaf")
    pid = supervisor.pids()["deaf"]
    assert supervisor.stop_all() == ["deaf"]
    assert not Path(f"/proc/{pid}").exists()


def test_a_service_that_ends_by_itself_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "logs")
    supervisor.start(service(tmp_path, "brief", "print('no luck today'); raise SystemExit(3)"))
    with pytest.raises(ServiceFailed) as raised:
        supervisor.wait_ready("brief")
    assert raised.value.service == "brief"
    assert "status 3" in raised.value.reason
    assert "no luck today" in raised.value.tail
    supervisor.stop_all()


def test_services_go_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from tests.integration.app.test_supervisor import service\n"
        "from app.local.supervisor import Supervisor\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "supervisor = Supervisor(folder / 'logs')\n"
        "supervisor.start(service(folder, 'child'))\n"
        "supervisor.wait_ready('child')\n"
        "(folder / 'pid').write_text(str(supervisor.pids()['child']))\n"
        "(folder / 'ready').touch()\n"
        "signal.pause()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT)
    try:
        wait_for((tmp_path / "ready").exists, "the supervisor's service")
        child = int((tmp_path / "pid").read_text())
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        wait_for(lambda: not Path(f"/proc/{child}").exists() or is_zombie(child), "the service to go")
    finally:
        parent.kill()
        parent.wait(10)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
