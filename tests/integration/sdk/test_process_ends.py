"""What processes recorded arrives when they end, fork or are workers, and no end waits longer than it may."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferwatch import topics
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.integration.sdk.answering_server import Answer, AnsweringServer, Request, answering_server
from tests.support.collector import events_of
from tests.support.kafka import RunningKafka
from tests.support.waiting import DEADLINE

NOWHERE = "127.0.0.1:1"

RECORD = """
import multiprocessing, os, sys, threading
from inferwatch import Mirror

def record(mirror, name, number):
    for _ in range(number):
        mirror.inference(name).end()
"""


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server() as running:
        yield running


def run(tmp_path: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, in which nothing may be said."""
    file = tmp_path / "script.py"
    file.write_text(RECORD + script)
    command = [sys.executable, "-W", "error", str(file), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=DEADLINE)


def seconds_to_end(tmp_path: Path, script: str, *arguments: str) -> float:
    """Return how long a script takes to end once it has said that it is done."""
    file = tmp_path / "script.py"
    file.write_text(RECORD + script + "\nprint('done', flush=True)\n")
    command = [sys.executable, str(file), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        began = time.monotonic()
        assert process.wait(DEADLINE) == 0
        return time.monotonic() - began


def arrived(server: AnsweringServer) -> Counter[str]:
    """Count what arrived by model; each event once."""
    events = [json.loads(line) for line in server.lines]
    assert len({event["event_id"] for event in events}) == len(events)
    return Counter(event["request_model"] for event in events)


def test_parent_and_child_of_a_fork_each_deliver_their_own(server: AnsweringServer, tmp_path: Path) -> None:
    script = """
mirror = Mirror(collector_url=sys.argv[1], linger=0.3)
record(mirror, "before", 5)
child = os.fork()
record(mirror, "child" if child == 0 else "parent", 50)
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert mirror.stats().recorded == 55
else:
    assert mirror.stats().recorded == 50
"""
    ended = run(tmp_path, script, server.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert arrived(server) == {"before": 5, "parent": 50, "child": 50}


def test_parent_and_child_each_have_a_producer_of_their_own(kafka: RunningKafka, tmp_path: Path) -> None:
    script = """
import time
mirror = Mirror(sys.argv[1], service=sys.argv[2], flush_timeout=30.0)
record(mirror, "before", 5)
while mirror.stats().delivered < 5:
    time.sleep(0.01)
children = []
for number in range(3):
    child = os.fork()
    if not child:
        record(mirror, f"child {number}", 20)
        sys.exit()
    children.append(child)
    record(mirror, "parent", 20)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap))
    service = uuid.uuid4().hex
    ended = run(tmp_path, script, kafka.bootstrap, service)
    assert (ended.returncode, ended.stderr) == (0, "")
    events = [event for event in events_of(kafka.bootstrap, topics.INFERENCES) if event.get("service") == service]
    assert len({event["event_id"] for event in events}) == len(events)
    models = Counter(event["request_model"] for event in events)
    assert models == {"before": 5, "parent": 60, "child 0": 20, "child 1": 20, "child 2": 20}


def test_a_fork_while_others_record_leaves_the_child_able_to(server: AnsweringServer, tmp_path: Path) -> None:
    script = """
mirror = Mirror(collector_url=sys.argv[1], linger=0.0)
threads = [threading.Thread(target=record, args=(mirror, "parent", 500)) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(5):
    child = os.fork()
    if not child:
        record(mirror, "child", 10)
        mirror.close()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
for thread in threads:
    thread.join()
"""
    ended = run(tmp_path, script, server.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert arrived(server) == {"parent": 1500, "child": 50}


def test_a_child_forked_while_a_wrapper_failed_may_fail_too(tmp_path: Path) -> None:
    script = """
import signal
from inferwatch.wrappers import faults, guard

@guard.guarded
def fail():
    raise ValueError

def forked():
    child = os.fork()
    if not child:
        signal.alarm(10)
        fail()
        os._exit(0 if faults()["fail: ValueError"] == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0

with guard._lock:
    other = threading.Thread(target=forked)
    other.start()
    other.join()
"""
    ended = run(tmp_path, script)
    assert ended.returncode == 0
    assert ended.stderr.startswith("A wrapper failed in fail: ValueError")
    assert "AssertionError" not in ended.stderr


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError('its own')"])
def test_what_was_recorded_arrives_although_nobody_closes(server: AnsweringServer, tmp_path: Path, end: str) -> None:
    script = f"""
def work():
    record(Mirror(collector_url=sys.argv[1]), "forgotten", 300)

work()
{end}
"""
    ended = run(tmp_path, script, server.url)
    assert ended.returncode == {"": 0, "sys.exit(3)": 3}.get(end, 1)
    assert arrived(server) == {"forgotten": 300}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_deliver_at_their_end(server: AnsweringServer, tmp_path: Path, method: str) -> None:
    script = """
def work(name):
    record(Mirror(collector_url=sys.argv[1]), name, 20)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    workers = [context.Process(target=work, args=(name,)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
"""
    ended = run(tmp_path, script, server.url, method)
    assert ended.returncode == 0, ended.stderr
    assert arrived(server) == {"a": 20, "b": 20}


def test_the_end_of_a_process_without_kafka_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    script = """
record(Mirror(sys.argv[1], flush_timeout=1.0), "lost", 100)
"""
    assert seconds_to_end(tmp_path, script, NOWHERE) < 3.0


def test_many_mirrors_end_in_the_time_of_one(tmp_path: Path) -> None:
    script = """
mirrors = [Mirror(sys.argv[1], flush_timeout=1.0) for _ in range(8)]
for mirror in mirrors:
    record(mirror, "lost", 10)
"""
    assert seconds_to_end(tmp_path, script, NOWHERE) < 3.0


def test_many_mirrors_deliver_side_by_side_at_the_end(server: AnsweringServer, tmp_path: Path) -> None:
    together = threading.Barrier(5)

    def decide(_: Request) -> Answer:
        together.wait(DEADLINE)  # nobody is answered before all have asked
        return Answer()

    server.decide = decide
    script = """
mirrors = [Mirror(collector_url=sys.argv[1], linger=60.0, flush_timeout=8.0) for _ in range(5)]
for mirror in mirrors:
    record(mirror, "held", 3)
"""
    ended = run(tmp_path, script, server.url)
    together.abort()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert arrived(server) == {"held": 15}


def test_many_mirrors_whose_threads_hang_end_in_the_time_of_one(server: AnsweringServer, tmp_path: Path) -> None:
    never = threading.Event()
    server.decide = lambda _: Answer(waits=never, leaves=True)
    script = """
mirrors = [Mirror(collector_url=sys.argv[1], flush_timeout=1.0, linger=0.0) for _ in range(5)]
for mirror in mirrors:
    record(mirror, "lost", 10)
import time
while any(mirror.stats().waiting for mirror in mirrors):
    time.sleep(0.01)
"""
    try:
        assert seconds_to_end(tmp_path, script, server.url) < 3.0
    finally:
        never.set()


def test_nothing_is_imported_before_it_is_needed(server: AnsweringServer, tmp_path: Path) -> None:
    script = """
def loaded(*names):
    return [name for name in names if name in sys.modules]

before = loaded("inferwatch.http", "inferwatch.kafka", "confluent_kafka", "http.client", "ssl", "opentelemetry")
assert not before, before
mirror = Mirror(collector_url=sys.argv[1])
record(mirror, "a", 1)
mirror.close()
assert loaded("inferwatch.http", "inferwatch.kafka", "confluent_kafka") == ["inferwatch.http"]
"""
    ended = run(tmp_path, script, server.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert arrived(server) == {"a": 1}
