"""On a real broker: everything arrives, once, with the spacing that it had."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer

from app.cli.replay import replay as command
from inferwatch import InferenceEvent, new_event_id, text_message, topics
from inferwatch.wire import decode_inference, encode_event, split_record
from processors.admin import ensure_topics
from processors.settings import KafkaSettings
from tests.support.kafka import RunningKafka

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 60.0
GAPS = (0.0, 0.25, 1.0, 0.0, 3.5, 0.125, 2.0, 0.5)


@pytest.fixture
def team(kafka: RunningKafka) -> str:
    """A name that tells the events of one test from all others; the topics are there."""
    ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap))
    return f"team-{uuid.uuid4().hex}"


@contextmanager
def reader(kafka: RunningKafka) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.subscribe([topics.INFERENCES])
    try:
        yield consumer
    finally:
        consumer.close()


def arrived(kafka: RunningKafka, team: str, count: int) -> list[InferenceEvent]:
    """Wait for so many events of a team; return them by the time they began."""
    found: list[InferenceEvent] = []
    deadline = time.monotonic() + DEADLINE
    with reader(kafka) as consumer:
        while len(found) < count:
            assert time.monotonic() < deadline, f"only {len(found)} of {count} events came"
            message = consumer.poll(0.5)
            if message is None or message.error():
                continue
            lines = split_record(message.value() or b"")
            found += [event for index, line in lines if (event := decode_inference(line, index)).team == team]
    return sorted(found, key=lambda event: event.started_at)


def replayed(kafka: RunningKafka, *arguments: str) -> dict[str, Any]:
    variables = {"INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    result = CliRunner().invoke(command, [*arguments, "--to", "kafka", "--json"], env=variables)
    assert result.exit_code == 0, (result.output, result.exception)
    return dict(json.loads(result.stdout))


def moments() -> list[float]:
    return [sum(GAPS[: place + 1]) for place in range(len(GAPS))]


def test_a_trace_arrives_with_its_spacing_divided_by_the_speed(kafka: RunningKafka, team: str, tmp_path: Path) -> None:
    rows = [f"2023-11-16 18:17:{at:010.7f},{100 + place},{place}" for place, at in enumerate(moments())]
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows))
    began = time.time()
    told = replayed(kafka, str(trace), "--speed", "5", "--team", team, "--ttft-ms", "100", "--tpot-ms", "10")
    events = arrived(kafka, team, len(rows))
    assert (told["sent"], told["ok"], told["form"]) == (len(rows), len(rows), "azure")
    assert events[0].started_at >= began
    spacing = [event.started_at - events[0].started_at for event in events]
    assert spacing == pytest.approx([at / 5 for at in moments()], abs=1e-4)
    assert sorted(event.output_tokens or 0 for event in events) == list(range(len(rows)))
    # Each was sent once it had ended, so what Kafka holds never lies in the future.
    assert all(event.started_at + event.duration <= time.time() for event in events)
    assert len({event.event_id for event in events}) == len(rows)


def test_a_recording_of_thousands_arrives_once_each_as_fast_as_possible(
    kafka: RunningKafka, team: str, tmp_path: Path
) -> None:
    recording = tmp_path / "recorded.ndjson.gz"
    count = 5_000
    with gzip.open(recording, "wb") as file:
        for number in range(count):
            recorded = InferenceEvent(
                event_id=new_event_id(),
                started_at=1_700_000_000.0 + number % 7,
                duration=0.5,
                source="sidecar-http",
                request_model="m",
                input_messages=(text_message("user", f"question {number}"),),
            )
            file.write(encode_event(recorded) + b"\n")
    told = replayed(kafka, str(recording), "--speed", "max", "--team", team)
    assert (told["sent"], told["ok"], told["failed"], told["disordered"]) == (count, count, {}, 0)
    events = arrived(kafka, team, count)
    asked = {event.input_messages[0].parts[0].content for event in events}
    assert asked == {f"question {number}" for number in range(count)}
    assert len({event.event_id for event in events}) == count


def test_ctrl_c_ends_a_replay_with_its_report(kafka: RunningKafka, team: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    rows = [{"timestamp": hour * 3_600_000, "input_length": 5, "output_length": 1} for hour in range(3)]
    trace.write_text("\n".join(map(json.dumps, rows)))
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "replay", str(trace), "--to", "kafka", "--team", team, "--ttft-ms", "0"],
        cwd=ROOT,
        env={**os.environ, "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    arrived(kafka, team, 1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert "1 sent to kafka" in output
    assert "Stopped before the end" in output
    assert "Traceback" not in errors


def test_a_line_that_cannot_be_read_ends_a_replay_after_what_stood_before_it(
    kafka: RunningKafka, team: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.jsonl"
    good = json.dumps({"timestamp": 0, "input_length": 5, "output_length": 1})
    trace.write_text(f"{good}\n{good}\nbroken\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "app.cli", "replay", str(trace), "--to", "kafka", "--team", team),
            *("--speed", "max", "--reorder", "0"),
        ],
        cwd=ROOT,
        env={**os.environ, "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 2
    assert "2 sent to kafka" in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "inferwatch: line 3: not JSON"
    assert len(arrived(kafka, team, 2)) == 2
