"""`inferwatch verify` on the real broker and the real engine: it finds what is planted, exactly, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.cli.verify import verify as command
from inferwatch import new_event_id, topics
from inferwatch.clock import SystemClock
from processors.errors import ProcessorError
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, Span, TopicReader
from processors.verify import count
from processors.verify.compare import Run
from processors.verify.fingerprint import fingerprint
from processors.verify.options import VerifyOptions
from processors.verify.repair import repaired
from processors.verify.report import Report
from processors.verify.run import verify
from storage import audit
from storage.client import StoreSettings
from storage.errors import StorageError
from storage.verify import PLACE_HASH, opened_ledger
from tests.support.kafka import RunningKafka
from tests.support.made_ledgers import MadeLedger, event_line, produce, without_topics
from tests.support.waiting import wait_for
from tests.support.workers import running_worker, variables_for

HOUR = 3600.0


@pytest.fixture
def ledger(own_kafka: RunningKafka, store: StoreSettings) -> MadeLedger:
    """Topics and tables with nothing in them."""
    kafka = KafkaSettings(bootstrap_servers=own_kafka.bootstrap)
    without_topics(kafka, topics.INFERENCES, topics.DEAD_LETTERS)
    return MadeLedger(kafka, store)


def verified(ledger: MadeLedger, **options: Any) -> Report:
    return verify(ledger.kafka, ledger.store, VerifyOptions(**options), SystemClock(), lambda _: None)


def settled(ledger: MadeLedger) -> None:
    for partition in range(3):
        ledger.traffic(partition, 12, at=time.time() - 2 * HOUR)
        ledger.traffic(partition, 8)
    ledger.settle()


def test_poison_blank_lines_and_repeated_dead_letters_are_accounted_for(ledger: MadeLedger) -> None:
    settled(ledger)
    for value in (None, b"", b" \n\n", b"\n" * 60_000):
        (offset,) = produce(ledger.kafka, topics.INFERENCES, 3, [value])
        ledger.dead[3, offset, 0] = value or b""
    ledger.traffic(3, 2)
    ledger.settle()
    report = verified(ledger)
    assert report.agrees
    total = report.total()
    assert (total.records, total.events, total.dead, total.rows) == (66, 252, 66, 186)
    assert [(hour.partition, hour.records, hour.difference) for hour in report.hours] == [
        *((partition, records, 0) for partition in range(3) for records in (12, 8)),
        (3, 6, 0),
    ]
    assert sum(bounds.waiting for bounds in report.bounds) == 0
    assert all(state.hours and not state.waiting for state in report.rollups)


def test_a_row_that_is_missing_is_found_exactly(ledger: MadeLedger) -> None:
    settled(ledger)
    ledger.spoil("ALTER TABLE inferences DELETE WHERE source_partition = 1 AND source_offset = 7 AND source_index = 2")
    report = verified(ledger)
    assert list(report.found.runs) == [Run("no row", 1, (7, 2), (7, 2), 1)]
    assert [(hour.partition, hour.difference) for hour in report.hours if hour.difference] == [(1, 1)]
    assert {state.table for state in report.rollups if state.differing} == {"metrics_1m", "metrics_1h", "pii_hits"}


def test_rows_that_are_missing_over_many_ranges_are_told_as_stretches_of_offsets(
    ledger: MadeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count, "RANGE_EVENTS", 16)
    settled(ledger)
    ledger.spoil("ALTER TABLE inferences DELETE WHERE source_partition = 2 AND source_offset BETWEEN 3 AND 5")
    # A dead letter stands between the good events of two records.
    expected = [Run("no row", 2, (offset, 0), (offset, 3), 3) for offset in (3, 4, 5)]
    assert list(verified(ledger).found.runs) == expected
    few = verified(ledger, most=1)
    assert list(few.found.runs) == expected[:1]
    assert few.found.more_ranges + few.found.more_runs > 0
    assert not few.agrees


def test_a_row_that_was_inserted_twice_is_found_exactly(ledger: MadeLedger) -> None:
    settled(ledger)
    where = "source_partition = 0 AND source_offset = 4 AND source_index = 3"
    ledger.spoil(f"INSERT INTO inferences SELECT * FROM inferences WHERE {where}")
    report = verified(ledger)
    assert list(report.found.runs) == [Run("more than one row", 0, (4, 3), (4, 3), 1)]
    assert report.repeated_ids == 1
    assert report.repeated[0].places == ((0, 4, 3), (0, 4, 3))


def test_one_row_lost_and_another_repeated_do_not_make_up_for_each_other(ledger: MadeLedger) -> None:
    settled(ledger)
    ledger.spoil("INSERT INTO inferences SELECT * FROM inferences WHERE source_partition = 0 AND source_offset = 4")
    ledger.spoil("ALTER TABLE inferences DELETE WHERE source_partition = 0 AND source_offset = 5")
    report = verified(ledger)
    assert not any(hour.difference for hour in report.hours)
    assert [run.kind for run in report.found.runs] == ["more than one row", "no row"]


def test_rows_that_no_record_holds_are_found(ledger: MadeLedger) -> None:
    settled(ledger)
    event = json.loads(event_line())
    ledger.insert({(0, 3, 99): event, (1, 1_000, 0): event})
    ledger.roll()
    report = verified(ledger)
    assert list(report.found.runs) == [
        Run("row of nothing", 0, (3, 99), (3, 99), 1),
        Run("row of nothing", 1, (1_000, 0), (1_000, 0), 1),
    ]


def test_an_event_that_is_both_set_apart_and_stored_is_no_difference(ledger: MadeLedger) -> None:
    settled(ledger)
    ledger.insert({(1, 3, 4): json.loads(event_line())})
    ledger.roll()
    report = verified(ledger)
    assert [run.kind for run in report.found.runs] == ["dead letter and row"]
    assert report.rows_agree
    assert report.hours[2].difference == -1


def test_what_is_not_processed_yet_waits(ledger: MadeLedger) -> None:
    settled(ledger)
    produce(ledger.kafka, topics.INFERENCES, 1, [event_line() for _ in range(5)])
    report = verified(ledger)
    assert report.agrees
    assert [bounds.waiting for bounds in report.bounds] == [0, 5, 0, 0]


def test_rows_that_vanished_from_the_end_are_missed_because_workers_committed_further(ledger: MadeLedger) -> None:
    settled(ledger)
    consumer = Consumer({"bootstrap.servers": ledger.kafka.bootstrap_servers, "group.id": "inferwatch-enrich"})
    consumer.commit(offsets=[TopicPartition(topics.INFERENCES, 2, 20)], asynchronous=False)
    consumer.close()
    ledger.spoil("ALTER TABLE inferences DELETE WHERE source_partition = 2 AND source_offset >= 18")
    assert [(run.partition, run.first, run.events) for run in verified(ledger).found.runs] == [
        (2, (18, 0), 3),
        (2, (19, 0), 3),
    ]


def test_what_retention_removed_is_no_longer_in_kafka_and_no_difference(ledger: MadeLedger) -> None:
    settled(ledger)
    admin = AdminClient({"bootstrap.servers": ledger.kafka.bootstrap_servers})
    for outcome in admin.delete_records([TopicPartition(topics.INFERENCES, 0, 10)]).values():
        outcome.result(30)
    report = verified(ledger)
    assert report.agrees
    assert report.forgotten == 30
    assert report.bounds[0].first == 10


def test_what_retention_removes_while_it_is_read_is_told_apart(ledger: MadeLedger) -> None:
    settled(ledger)
    admin = AdminClient({"bootstrap.servers": ledger.kafka.bootstrap_servers})
    for outcome in admin.delete_records([TopicPartition(topics.INFERENCES, 0, 6)]).values():
        outcome.result(30)
    with TopicReader(ledger.kafka, topics.INFERENCES) as reader:
        found = list(reader.read([Span(0, 0, 9), Span(1, 2, 4)]))
    assert [each for each in found if isinstance(each, Removed)] == [Removed(Span(0, 0, 6))]
    read = [(m.partition(), m.offset()) for each in found if not isinstance(each, Removed) for m in each]
    assert sorted(read, key=str) == [(0, 6), (0, 7), (0, 8), (1, 2), (1, 3)]


def test_a_topic_that_was_made_again_does_not_inherit_dead_letters_or_rows(ledger: MadeLedger) -> None:
    settled(ledger)
    without_topics(ledger.kafka, topics.INFERENCES)
    again = MadeLedger(ledger.kafka, ledger.store)
    for _ in range(5):
        offset = again.produce(0, [event_line() for _ in range(5)])
        again.good.update({(0, offset, line): json.loads(event_line()) for line in range(5)})
    again.settle()
    report = verified(again)
    assert report.agrees
    assert report.older_topics == 180
    assert report.total().dead == 0


def test_times_narrow_what_is_compared(ledger: MadeLedger) -> None:
    settled(ledger)
    ledger.spoil("ALTER TABLE inferences DELETE WHERE source_partition = 1 AND source_offset = 7")
    assert verified(ledger, since=time.time() - HOUR).rows_agree
    assert verified(ledger, since=time.time() - HOUR).total().records == 24
    assert verified(ledger, until=time.time() - HOUR).total().records == 36
    assert not verified(ledger, until=time.time() - HOUR).rows_agree


def test_figures_that_vanished_from_one_rollup_are_found_and_made_again(ledger: MadeLedger) -> None:
    settled(ledger)
    ledger.spoil("ALTER TABLE metrics_1h DELETE WHERE environment != ''")
    report = verified(ledger)
    assert report.rows_agree
    assert [(state.table, len(state.differing)) for state in report.rollups] == [
        ("metrics_1m", 0),
        ("metrics_1h", report.rollups[1].hours),
        ("pii_hits", 0),
    ]
    assert report.rollups[1].differing[0].figures["requests"] == (180, 0)
    after = repaired(report, ledger.store, VerifyOptions(), SystemClock(), lambda _: None)
    assert after.agrees
    assert len(after.repaired) == 1


def test_a_day_that_was_dropped_from_a_rollup_with_its_marks_is_late_and_made_again(ledger: MadeLedger) -> None:
    settled(ledger)
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    events = [event_line(started_at=yesterday.timestamp()) for _ in range(4)]
    offset = ledger.produce(3, events)
    ledger.insert({(3, offset, line): json.loads(event) for line, event in enumerate(events)}, yesterday)
    ledger.roll()
    assert verified(ledger).agrees
    ledger.spoil("ALTER TABLE metrics_1m DROP PARTITION {day:String}", day=str(yesterday.date()))
    report = verified(ledger)
    minutes = report.rollups[0]
    assert (minutes.table, minutes.waiting, minutes.waiting_days) == ("metrics_1m", 4, (yesterday.date(),))
    assert report.rows_agree
    assert not report.agrees
    assert report.days_to_rebuild() == [yesterday.date()]
    assert repaired(report, ledger.store, VerifyOptions(), SystemClock(), lambda _: None).agrees


def test_rows_that_rollups_do_not_have_yet_are_waiting_and_no_difference(ledger: MadeLedger) -> None:
    settled(ledger)
    events = [event_line() for _ in range(3)]
    offset = ledger.produce(0, events)
    ledger.insert({(0, offset, line): json.loads(event) for line, event in enumerate(events)})
    report = verified(ledger)
    assert report.agrees
    assert report.rollups[0].waiting == 3
    assert not verified(ledger, late_seconds=-60).agrees


def test_an_event_that_was_sent_twice_is_told(ledger: MadeLedger) -> None:
    twice = new_event_id()
    for _ in range(2):
        offset = ledger.produce(0, [event_line(twice)])
        ledger.good[0, offset, 0] = json.loads(event_line(twice))
    ledger.settle()
    report = verified(ledger)
    assert report.agrees
    assert [(each.event_id, each.places) for each in report.repeated] == [(twice, ((0, 0, 0), (0, 1, 0)))]


def test_python_and_the_engine_hash_places_alike(ledger: MadeLedger) -> None:
    dice = np.random.default_rng(5)
    offsets = np.concatenate([np.array([0, 1, 2**63]), dice.integers(0, 2**62, 500)]).astype(np.uint64)
    lines = np.concatenate([np.array([0, 1, 2**32 - 1]), dice.integers(0, 2**32, 500)]).astype(np.uint64)
    with opened_ledger(ledger.store) as opened:
        prefix = opened.prefixes(ledger.topic_id, [7])[7]
        ((there,),) = opened.query(
            f"SELECT sum({PLACE_HASH}) FROM (SELECT toLowCardinality({{topic:String}}) AS source_topic_id,"
            " toUInt32(7) AS source_partition, p.1 AS source_offset, toUInt32(p.2) AS source_index FROM ("
            "SELECT arrayJoin(arrayZip({offsets:Array(UInt64)}, {lines:Array(UInt64)})) AS p))",
            topic=ledger.topic_id,
            offsets=offsets.tolist(),
            lines=lines.tolist(),
        )
    assert fingerprint(prefix, offsets, lines) == int(there)


def invoked(ledger: MadeLedger, *arguments: str, **variables: str) -> Result:
    given = {
        "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": ledger.kafka.bootstrap_servers,
        "INFERWATCH_CLICKHOUSE_URL": ledger.store.url,
        "INFERWATCH_CLICKHOUSE_DATABASE": ledger.store.database,
        **variables,
    }
    return CliRunner().invoke(command, list(arguments), env=given)


def test_the_command_exits_with_0_where_all_agree_and_1_where_something_differs(ledger: MadeLedger) -> None:
    settled(ledger)
    good = invoked(ledger)
    assert (good.exit_code, "Kafka and rows: agree" in good.stdout) == (0, True)
    ledger.spoil("ALTER TABLE inferences DELETE WHERE source_partition = 1 AND source_offset = 7 AND source_index = 2")
    bad = invoked(ledger)
    assert bad.exit_code == 1
    assert "partition 1, offset 7 line 2: 1 event, neither a row nor a dead letter" in bad.stdout
    told = json.loads(invoked(ledger, "--json", "--repair").stdout)
    assert (told["rows"]["agree"], told["rollups"]["agree"]) == (False, True)
    assert told["rollups"]["repaired"]
    assert told["rows"]["differences"][0]["first"] == {"offset": 7, "index": 2}
    logged = audit.entries(ledger.store, actions=["verify --repair"])
    assert [entry.outcome for entry in logged] == ["done", "started"]
    assert all(day in logged[0].subject for day in told["rollups"]["repaired"])


@pytest.mark.parametrize("variable", ["INFERWATCH_KAFKA_BOOTSTRAP_SERVERS", "INFERWATCH_CLICKHOUSE_URL"])
def test_what_cannot_be_looked_at_is_an_error_and_not_a_difference(ledger: MadeLedger, variable: str) -> None:
    nowhere = "127.0.0.1:1" if "KAFKA" in variable else "http://127.0.0.1:1"
    result = invoked(ledger, **{variable: nowhere})
    assert isinstance(result.exception, ProcessorError | StorageError)


def test_a_worker_that_goes_on_working_differs_in_nothing(ledger: MadeLedger, tmp_path: Path, logs: Path) -> None:
    variables = variables_for(ledger.kafka.bootstrap_servers, ledger.store, tmp_path)
    with running_worker("enrich", variables, logs / "enrich.log") as worker:
        for _ in range(4):
            for partition in range(4):
                ledger.traffic(partition, 100)
            report = verified(ledger)
            assert report.agrees, report

        def is_processed() -> bool:
            assert worker.process is not None
            assert worker.process.poll() is None, worker.log.read_text(errors="replace")[-3000:]
            return not any(bounds.waiting for bounds in verified(ledger).bounds)

        wait_for(is_processed, "everything to be processed")
        report = verified(ledger)
    assert report.agrees
    assert (report.total().rows, report.total().dead) == (4_800, 1_600)
