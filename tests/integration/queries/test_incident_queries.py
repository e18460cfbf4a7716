from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from storage.queries import (
    Filters,
    Reader,
    TimeRange,
    alerts,
    detections,
    drift_signals,
    open_alerts,
    retraining_runs,
    transitions,
)
from storage.sink import ClickHouseSink
from tests.support.store_rows import RECENT, columns, detection, retraining_run, transition

HOUR = TimeRange.last(timedelta(hours=1), RECENT)


def before(minutes: float) -> datetime:
    return RECENT - timedelta(minutes=minutes)


def test_an_alert_is_open_until_its_last_transition_says_resolved(reader: Reader, sink: ClickHouseSink) -> None:
    firing, resolved, again = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    rows = [
        transition(firing, "pending", before(9)),
        transition(firing, "firing", before(8)),
        transition(resolved, "firing", before(9)),
        transition(resolved, "resolved", before(7)),
        transition(again, "resolved", before(9)),
        transition(again, "pending", before(6)),
    ]
    sink.write("alerts", columns(rows))
    assert [(one.alert_id, one.state) for one in open_alerts(reader)] == [(firing, "firing"), (again, "pending")]
    assert {one.alert_id: one.state for one in alerts(reader, HOUR)} == {
        firing: "firing",
        resolved: "resolved",
        again: "pending",
    }


def test_open_alerts_are_of_all_time_and_the_gravest_comes_first(reader: Reader, sink: ClickHouseSink) -> None:
    rows = [
        transition(uuid.uuid4(), "pending", before(1), severity="critical", rule="c"),
        transition(uuid.uuid4(), "firing", before(2), severity="info", rule="d"),
        transition(uuid.uuid4(), "firing", before(900), severity="warning", rule="b"),
        transition(uuid.uuid4(), "firing", before(3), severity="critical", rule="a"),
    ]
    sink.write("alerts", columns(rows))
    assert [one.rule for one in open_alerts(reader)] == ["a", "b", "d", "c"]
    assert {one.rule for one in alerts(reader, HOUR)} == {"a", "c", "d"}


def test_a_transition_written_twice_is_one(reader: Reader, sink: ClickHouseSink) -> None:
    row = transition(uuid.uuid4(), "firing", before(5))
    for summary, written in (("first", before(5)), ("second", before(4))):
        sink.write("alerts", columns([{**row, "summary": summary, "written_at": written}]))
    assert [one.summary for one in transitions(reader, HOUR)] == ["second"]
    assert [one.summary for one in open_alerts(reader)] == ["second"]


def test_times_of_alerts_are_exact_and_newest_comes_first(reader: Reader, sink: ClickHouseSink) -> None:
    alert = uuid.uuid4()
    states = [transition(alert, "pending", before(3)), transition(alert, "firing", before(2), started_at=before(3))]
    sink.write("alerts", columns(states))
    found = transitions(reader, HOUR)
    assert [(one.state, one.at, one.started_at) for one in found] == [
        ("firing", before(2), before(3)),
        ("pending", before(3), before(3)),
    ]


def test_filters_on_environment_and_model_apply_to_incidents(reader: Reader, sink: ClickHouseSink) -> None:
    alert = uuid.uuid4()
    sink.write("alerts", columns([transition(alert, "firing", before(2), model="ranker")]))
    sink.write("detections", columns([detection(before(2), model="ranker", environment="staging")]))
    sink.write("retraining_runs", columns([retraining_run(before(1), alert, model="ranker")]))
    for filters, expected in ((Filters(model="ranker"), 1), (Filters(model="smollm2"), 0)):
        assert len(open_alerts(reader, filters)) == expected
        assert len(transitions(reader, HOUR, filters)) == expected
        assert len(detections(reader, HOUR, filters)) == expected
        assert len(retraining_runs(reader, HOUR, filters)) == expected
    assert detections(reader, HOUR, Filters(environment="production")) == []


def test_detections_come_once_newest_first_with_their_examples(reader: Reader, sink: ClickHouseSink) -> None:
    examples = [uuid.uuid4(), uuid.uuid4()]
    older, newer = detection(before(20), p_value=0.004), detection(before(10), event_ids=examples)
    for row in (older, newer, newer):
        sink.write("detections", columns([row]))
    sink.write("detections", columns([detection(before(90))]))
    found = detections(reader, HOUR)
    assert [one.detection_id for one in found] == [newer["detection_id"], older["detection_id"]]
    assert found[0].event_ids == tuple(examples)
    assert (found[0].p_value, found[1].p_value) == (None, 0.004)


def test_drift_signals_count_by_model_and_signal(reader: Reader, sink: ClickHouseSink) -> None:
    rows = [
        detection(before(30)),
        detection(before(20), statistic=0.5),
        detection(before(10), signal="duration"),
    ]
    sink.write("detections", columns(rows))
    found = drift_signals(reader, HOUR)
    assert [(one.signal, one.detections) for one in found] == [("duration", 1), ("embedding", 2)]
    assert found[1].last.statistic == 0.5


def test_a_run_is_shown_as_it_stands_now(reader: Reader, sink: ClickHouseSink) -> None:
    alert = uuid.uuid4()
    started = retraining_run(before(50), alert, status="dataset written")
    sink.write("retraining_runs", columns([started]))
    sink.write("retraining_runs", columns([{**started, "status": "loaded", "rows": 2_000, "written_at": before(1)}]))
    (found,) = retraining_runs(reader)
    assert (found.status, found.rows, found.at, found.alert_id) == ("loaded", 2_000, before(50), alert)
    assert found.dataset.endswith(".jsonl")
