"""Erasing on the real broker and the real engine: what is planted is gone, the rest is as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferwatch import topics
from processors.admin import ensure_topics
from processors.erasure import Erasure
from processors.erasure.errors import NotYetProcessed
from processors.settings import KafkaSettings
from storage import audit
from storage.client import StoreSettings, connect
from tests.integration.pipeline.erasure_world import SECRET, World, dataset, event_line, ids_in
from tests.support.clickhouse import ROOT, RunningStore
from tests.support.kafka import RunningKafka
from tests.support.waiting import wait_for

KILLED = """
import os, signal, sys
from pathlib import Path
from processors.erasure import Erasure, EraseSettings
from processors.erasure import letters
from processors.settings import KafkaSettings
from storage.client import StoreSettings
from storage.erasure.statements import Statements
servers, url, database, folder, user, secret, fatal = sys.argv[1:]
left = int(fatal)
def deadly(original):
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)
    return call
Statements.mutate = deadly(Statements.mutate)
Statements.command = deadly(Statements.command)
letters.remove_before = deadly(letters.remove_before)
settings = EraseSettings(KafkaSettings(servers), StoreSettings(url, database), secret, (Path(folder),),
    wait_seconds=5.0, settle_seconds=0.0, keep_parts_seconds=1)
Erasure(settings, "user", user).run("cli:tests", lambda line: None)
"""


@pytest.fixture
def world(
    own_kafka: RunningKafka, migrated: StoreSettings, store_server: RunningStore, tmp_path: Path
) -> Iterator[World]:
    kafka = KafkaSettings(own_kafka.bootstrap, partitions=2)
    ensure_topics(kafka)
    client = connect(migrated)
    world = World(kafka, migrated, client, tmp_path / "exports", store_server.path)
    world.folder.mkdir()
    world.clear_topics()
    yield world
    client.close()


def test_what_is_planted_in_every_place_is_gone_and_nothing_else(world: World) -> None:
    mine, others = world.planted(world.user), world.inferences(world.other, 3)
    mentioned = world.inferences(world.other, team=world.user, attributes={"asked": f"for {world.user}"})[0]
    world.references(mine, world.user, world.secret("comment"))
    world.references(others[0], world.other, "comment of another")
    world.mention(world.user)
    world.roll_up()
    for offset, user in enumerate([world.other, world.user, world.other]):
        world.letter(event_line(user, duration=-1, note=f"letter {offset}")[:-1], offset)
        world.send(topics.INFERENCES, event_line(user))
    world.send(topics.FEEDBACK, json.dumps({"feedback_id": "f", "event_id": str(mine), "comment": "bad"}).encode())
    world.processed()
    inside = dataset(world.folder / "a.jsonl", [others[0], mine, others[1]])
    outside = dataset(world.folder.parent / "elsewhere" / "b.jsonl", [mine])
    audit.record(
        world.client, actor="dashboard", action="export", subject="rows", outcome="done", details={"path": str(outside)}
    )
    before, untouched = world.sums(), world.rows_of(world.other)[:3]
    planted = [world.user, world.hashed(world.user), str(mine), *world.secrets]
    assert len(world.secrets) > 10
    assert len(world.in_tables(planted)) >= len(planted)
    assert world.on_disk([mine])

    report = world.erase()

    assert report.complete
    assert report.events == 1
    assert world.in_tables(planted) == []
    assert world.on_disk([mine], [world.user, world.hashed(world.user)]) == []
    assert ids_in(inside) == [str(others[0]), str(others[1])]
    assert ids_in(outside) == []
    assert [headers["offset"] for _, headers in world.records(topics.DEAD_LETTERS)] == ["2", "0"]
    assert [value for value, _ in world.records(topics.INFERENCES) if world.user.encode() in value] == []
    assert world.records(topics.FEEDBACK) == []
    assert world.sums() == before
    assert world.rows_of(world.other)[:3] == untouched
    row = world.client.query("SELECT team, attributes['asked'], user FROM inferences WHERE event_id = {id:UUID}",
                             parameters={"id": mentioned}).result_rows[0]  # fmt: skip
    assert row == ("<ERASED>", "for <ERASED>", world.hashed(world.other))
    assert [entry[2] for entry in world.audit()] == ["started", "done"]
    assert world.user not in str(world.audit())


def test_the_erased_row_is_flagged_and_its_rating_still_belongs_to_it(world: World) -> None:
    (mine,) = world.inferences(world.user)
    world.references(mine, world.other, "not good")
    world.processed()
    assert world.erase().complete
    rows = world.client.query(
        "SELECT i.flags, i.output_tokens, f.score, f.comment, f.who, length(d.event_ids) FROM inferences AS i"
        " INNER JOIN feedback AS f ON f.event_id = i.event_id CROSS JOIN detections AS d"
    ).result_rows
    assert rows == [(["erased"], 1, 0.25, "", "", 1)]


def test_a_dry_run_says_what_there_is_and_changes_nothing(world: World) -> None:
    mine = world.planted(world.user)
    world.send(topics.INFERENCES, event_line(world.user))
    file = dataset(world.folder / "a.jsonl", [mine])
    before = world.rows_of(world.user)
    report = world.erase(dry_run=True)
    found = {place.place: place.found for place in report.before if place.found}
    assert found == {
        "table inferences": 1,
        f"topic {topics.INFERENCES}": 1,
        f"exports in {world.folder}": 1,
    }
    assert not report.complete
    assert world.rows_of(world.user) == before
    assert len(world.records(topics.INFERENCES)) == 1
    assert ids_in(file) == [str(mine)]
    assert world.audit() == []
    assert world.client.query("SELECT count() FROM erasures").result_rows == [(0,)]


def test_one_event_or_one_conversation_can_be_erased(world: World) -> None:
    conversation = f"talk-{uuid.uuid4()}"
    (first,), (second,) = world.inferences(world.user, response_id="of the first"), world.inferences(world.user)
    world.references(uuid.uuid4(), world.other, "of the first")
    world.inferences(world.user, 2, conversation_id=conversation)
    world.processed()
    assert world.erase("event", str(first)).events == 1
    assert world.client.query("SELECT response_id, comment, who, score FROM feedback").result_rows == [
        ("", "", "", 0.25)
    ]
    assert world.erase("conversation", conversation).events == 2
    assert [row[0] for row in world.rows_of(world.user)] == [second]


def test_a_user_can_be_given_as_the_hash_that_rows_have(world: World) -> None:
    world.inferences(world.user)
    world.letter(event_line(world.user, duration="x"), 0)
    world.letter(event_line(world.other, duration="x"), 1)
    world.processed()
    report = world.erase("user", world.hashed(world.user))
    assert report.complete
    assert report.events == 1
    assert [headers["offset"] for _, headers in world.records(topics.DEAD_LETTERS)] == ["1"]


def test_erasing_again_finds_nothing_and_changes_nothing(world: World) -> None:
    world.planted(world.user)
    world.inferences(world.other, 2)
    world.processed()
    assert world.erase().complete
    rows = world.client.query("SELECT * FROM inferences ORDER BY source_offset").result_rows
    again = world.erase()
    assert again.complete
    assert again.events == 0
    assert world.client.query("SELECT * FROM inferences ORDER BY source_offset").result_rows == rows


def test_what_no_worker_has_processed_is_waited_for_and_nothing_is_touched(world: World) -> None:
    world.inferences(world.user)
    world.processed()
    world.send(topics.INFERENCES, event_line(world.user))
    before = world.rows_of(world.user)
    with pytest.raises(NotYetProcessed, match="worker enrich"):
        world.erase()
    assert world.rows_of(world.user) == before
    assert [entry[2] for entry in world.audit()] == ["started", "failed"]


def test_an_event_that_is_still_in_kafka_is_erased_too(world: World) -> None:
    world.processed()
    world.send(topics.INFERENCES, event_line(world.user))
    waiting = threading.Event()

    def work() -> None:
        assert waiting.wait(30)
        world.inferences(world.user)
        world.processed()

    worker = threading.Thread(target=work)
    worker.start()
    erasure = Erasure(world.settings(wait_seconds=30.0), "user", world.user)
    report = erasure.run("cli:tests", lambda _: waiting.set())
    worker.join()
    assert report.complete
    assert report.events == 1
    assert world.in_tables([world.hashed(world.user)]) == []
    assert world.records(topics.INFERENCES) == []


def test_others_may_write_meanwhile(world: World) -> None:
    world.inferences(world.user, 50)
    world.processed()
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        client = connect(world.store)
        writer = World(world.kafka, world.store, client, world.folder, world.engine_files, topic_id="live")
        while not stop.is_set():
            writer.inferences(world.other, 5)
            written += 5
        client.close()

    thread = threading.Thread(target=write)
    thread.start()
    wait_for(lambda: written > 0, "rows of others")
    report = world.erase()
    stop.set()
    thread.join()
    assert report.complete
    assert report.events == 50
    assert len(world.rows_of(world.other)) == written
    assert world.client.query("SELECT count() FROM inferences WHERE has(flags, 'erased')").result_rows == [(50,)]


@pytest.mark.parametrize("statement", [2, 5, 9, 14])
def test_a_run_that_was_killed_is_finished_by_the_next(world: World, statement: int) -> None:
    mine, (other,) = world.planted(world.user), world.inferences(world.other)
    world.references(mine, world.user, world.secret("comment"))
    world.mention(world.user)
    world.roll_up()
    for offset, user in enumerate([world.other, world.user, world.other]):
        world.letter(event_line(user, duration=-1), offset)
    world.processed()
    file = dataset(world.folder / "a.jsonl", [mine, other])
    before = world.sums()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, world.kafka.bootstrap_servers, world.store.url, world.store.database,
         str(world.folder), world.user, SECRET, str(statement)],
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    report = world.erase()
    assert report.complete
    assert world.in_tables([world.user, world.hashed(world.user), str(mine), *world.secrets]) == []
    assert world.on_disk([mine], [world.user]) == []
    assert ids_in(file) == [str(other)]
    assert sorted({headers["offset"] for _, headers in world.records(topics.DEAD_LETTERS)}) == ["0", "2"]
    assert world.sums() == before


def test_letters_that_were_moved_and_not_removed_are_not_moved_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset, user in enumerate([world.other, world.user, world.other]):
        world.letter(event_line(user, duration=-1), offset)
    world.processed()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("processors.erasure.letters.remove_before", killed)
        with pytest.raises(KeyboardInterrupt):
            world.erase()
    assert [headers["offset"] for _, headers in world.records(topics.DEAD_LETTERS)] == ["0", "1", "2", "0"]
    assert world.erase().complete
    assert [headers["offset"] for _, headers in world.records(topics.DEAD_LETTERS)] == ["2", "0"]


def test_what_cannot_be_erased_is_reported(world: World) -> None:
    world.inferences(world.other, model=world.user)
    world.processed()
    report = world.erase()
    assert not report.complete
    assert [(place.place, place.note) for place in report.after if place.found] == [("table inferences", "model (1)")]
    assert [entry[2] for entry in world.audit()] == ["started", "remains"]


def test_a_dataset_that_is_being_written_is_begun_again(world: World) -> None:
    (mine,) = world.inferences(world.user)
    world.processed()
    unfinished = dataset(world.folder / "a.unfinished", [mine])
    assert world.erase().complete
    assert not unfinished.exists()


def test_labels_of_days_whose_rows_are_gone_are_erased_and_their_figures_stay(world: World) -> None:
    world.client.command("ALTER TABLE inferences REMOVE TTL")
    world.client.command("ALTER TABLE metrics_1h REMOVE TTL")
    columns = "bucket, ingested_on, environment, model, team, requests, output_tokens, fingerprint"
    for team, requests in ((world.user, 3), ("search", 4)):
        world.client.command(
            f"INSERT INTO metrics_1h ({columns}) SELECT toDateTime('2026-01-01 10:00:00', 'UTC'),"
            f" toDate('2026-01-01'), 'production', 'smollm2', '{team}', {requests}, 10, 99"
        )
    world.client.command("ALTER TABLE inferences MODIFY TTL toDateTime(ingested_at) + INTERVAL 90 DAY")
    world.processed()
    assert world.erase().complete
    rows = world.client.query("SELECT team, requests, output_tokens, fingerprint FROM metrics_1h ORDER BY requests")
    assert rows.result_rows == [("<ERASED>", 3, 10, 99), ("search", 4, 10, 99)]
