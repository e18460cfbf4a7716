"""One dataset and one run for each alert that asks for it, under a name that stays in its folder."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import topics
from processors.app import check
from processors.errors import DatasetNotWritten
from processors.producer import MemoryProducer
from processors.records import AlertTransition, RetrainingRun, decode_records, encode_records
from processors.retrain import worker
from processors.retrain.worker import RetrainStep, file_name
from processors.settings import ProcessorSettings, RetrainSettings
from processors.step import Record
from storage.client import StoreSettings
from storage.errors import StoreUnavailable
from storage.export import StoredConversation, chat_message
from tests.unit.processors.makers import NOW, transition


class Stored:
    """Answers for the store; notes what it was asked."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: list[tuple[Any, ...]] = []

    def __call__(self, _store: StoreSettings, *asked: Any) -> Iterator[StoredConversation]:
        self.asked.append(asked)
        at = dt.datetime.fromtimestamp(NOW, dt.UTC)
        yield StoredConversation("e1", at, [{"role": "user", "content": "a\nb \u2028 𝕏"}])
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("http://store", "away")
        yield StoredConversation("e2", at, [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}])


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Stored:
    answers = Stored()
    monkeypatch.setattr(worker, "conversations", answers)
    return answers


def record(*changes: AlertTransition, offset: int = 0) -> Record:
    return Record(topics.ALERTS, 0, offset, "", encode_records(list(changes)))


def runs(producer: MemoryProducer) -> list[RetrainingRun]:
    sent = [one for one in producer.records if one.topic == topics.RETRAINING]
    return [run for one in sent for run in decode_records(one.value, RetrainingRun)]


def dataset(run: RetrainingRun) -> list[Any]:
    return [json.loads(line) for line in Path(run.dataset).read_bytes().splitlines()]


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def step(folder: Path, producer: MemoryProducer) -> RetrainStep:
    return RetrainStep(RetrainSettings(folder, most_rows=7, look_back_seconds=60), StoreSettings(), producer)


async def test_an_alert_that_asks_for_it_becomes_a_dataset_and_a_run(tmp_path: Path, stored: Stored) -> None:
    producer = MemoryProducer()
    assert await step(tmp_path / "new", producer).process([record(transition(retrain=True), transition())])
    (run,) = runs(producer)
    assert (run.rows, run.environment, run.model, run.status) == (2, "prod", "m", "dataset written")
    assert run.reason == "errors: 25% of requests failed"
    rows = dataset(run)
    assert [row["event_id"] for row in rows] == ["e1", "e2"]
    assert rows[0]["messages"][0]["content"] == "a\nb \u2028 𝕏"
    until = dt.datetime.fromtimestamp(NOW, dt.UTC)
    assert stored.asked == [("prod", "m", until - dt.timedelta(seconds=60), until, 7)]
    assert producer.records[0].key == "prod/m"
    assert files(tmp_path / "new") == [Path(run.dataset).name]


async def test_the_same_alert_twice_is_one_file_and_the_same_run(tmp_path: Path, stored: Stored) -> None:
    producer = MemoryProducer()
    for offset in range(2):
        assert await step(tmp_path, producer).process([record(transition(retrain=True), offset=offset)])
    first, second = runs(producer)
    assert first == second
    assert (len(stored.asked), len(files(tmp_path))) == (1, 1)


async def test_another_alert_is_another_run(tmp_path: Path, stored: Stored) -> None:
    producer = MemoryProducer()
    changes = [transition(retrain=True, alert_id=name) for name in ("a", "b")]
    await step(tmp_path, producer).process([record(*changes)])
    assert len({run.run_id for run in runs(producer)}) == len({run.dataset for run in runs(producer)}) == 2


async def test_a_store_that_goes_away_in_the_middle_leaves_no_half_dataset(
    tmp_path: Path, stored: Stored, waits: list[float]
) -> None:
    stored.failures = 2
    producer = MemoryProducer()
    assert await step(tmp_path, producer).process([record(transition(retrain=True))])
    (run,) = runs(producer)
    assert (run.rows, len(dataset(run)), len(waits)) == (2, 2, 2)
    assert files(tmp_path) == [Path(run.dataset).name]


async def test_a_folder_that_cannot_be_written_is_waited_for(
    tmp_path: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, producer, sleep = tmp_path / "taken", MemoryProducer(), asyncio.sleep
    folder.write_text("a file where the folder should be")

    async def repaired_meanwhile(_seconds: float) -> None:
        folder.unlink()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", repaired_meanwhile)
    assert await step(folder, producer).process([record(transition(retrain=True))])
    (run,) = runs(producer)
    assert run.rows == 2
    assert f"{folder}: " in caplog.text
    assert "INFERWATCH_RETRAINING_DIR" in caplog.text


async def test_a_folder_that_stays_unwritable_does_not_hold_up_a_release(tmp_path: Path, stored: Stored) -> None:
    (tmp_path / "taken").write_text("")
    producer = MemoryProducer()
    one = step(tmp_path / "taken", producer)
    batch = [Record(topics.ALERTS, 0, 0, "", b"junk"), record(transition(retrain=True), offset=1)]
    processing = asyncio.create_task(one.process(batch))
    await asyncio.sleep(0)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)
    assert not await one.tick()
    assert producer.records == []
    await one.release()
    (tmp_path / "taken").unlink()
    assert await one.process(batch)
    assert len(runs(producer)) == 1


def test_a_folder_that_cannot_be_written_is_named_at_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(DatasetNotWritten, match="INFERWATCH_RETRAINING_DIR") as caught:
            check("alert", ProcessorSettings(retrain=RetrainSettings(folder)))
        assert caught.value.path == str(folder)
        assert caught.value.reason


def test_the_folder_is_made_at_start_and_left_empty(tmp_path: Path) -> None:
    check("alert", ProcessorSettings(retrain=RetrainSettings(tmp_path / "a" / "b")))
    assert files(tmp_path / "a" / "b") == []


async def test_what_is_no_transition_is_buried(tmp_path: Path, stored: Stored) -> None:
    producer = MemoryProducer()
    assert await step(tmp_path, producer).process([Record(topics.ALERTS, 0, 0, "", b"junk")])
    assert [one.topic for one in producer.records] == [topics.DEAD_LETTERS]
    assert stored.asked == []


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_file_name_stays_in_its_folder(environment: str, model: str) -> None:
    name = file_name(environment, model)
    assert 1 <= len(name) <= 100
    assert name.isascii()
    assert not set(name) & set("/\\:\0\n *?")
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize(
    ("environment", "model", "name"),
    [
        ("prod", "llama-3.1", "prod-llama-3.1"),
        ("..", "../../etc/passwd", "etc-passwd"),
        ("", "", "model"),
        ("prod", "meta/llama", "prod-meta-llama"),
    ],
)
def test_file_names(environment: str, model: str, name: str) -> None:
    assert file_name(environment, model) == name


@pytest.mark.parametrize(
    ("stored_message", "chat"),
    [
        ({"role": "user", "parts": [{"content": "a"}, {"content": "b"}]}, {"role": "user", "content": "a\nb"}),
        ({"role": "tool", "parts": [{"type": "x"}, {"content": None}]}, {"role": "tool", "content": ""}),
        ({"role": "user"}, {"role": "user", "content": ""}),
    ],
)
def test_a_stored_message_becomes_a_chat_message(stored_message: dict[str, Any], chat: dict[str, str]) -> None:
    assert chat_message(stored_message) == chat
