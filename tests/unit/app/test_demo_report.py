"""The report compares what was done with what is stored, and says what is lost, repeated, unasked or missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.demo.answer import Answer
from app.demo.audit import StoredRow
from app.demo.ledger import Entry, Ledger
from app.demo.observer import Seen
from app.demo.planted import Planted
from app.demo.report import Report, alerts_of, as_text, freshness_of, latency_of, sources_of
from app.demo.verdict import missing_of


def entry(event_id: str, source: str = "sdk", **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "streamed": True,
        "began_at": 100.0,
        "ended_at": 101.0,
        "duration": 1.0,
        "time_to_first_token": 0.2,
        "time_per_output_token": 0.01,
        "failed": False,
    }
    return Entry(event_id, source, **{**given, **fields})


def row(event_id: str, source: str = "sdk", first: float | None = 0.21, each: float | None = 0.011) -> StoredRow:
    return StoredRow(event_id, source, first, each, 1.1)


def test_everything_arrived() -> None:
    ledger = Ledger([entry("a"), entry("b"), entry("c", "sidecar-http")])
    stored = [row("a"), row("b"), row("c", "sidecar-http")]
    assert sources_of(ledger, {"sdk": 2, "sidecar-http": 1}, stored) == {
        "sdk": {"made": 2, "mirrored": 2, "stored": 2, "lost": 0, "duplicated": 0, "unasked": 0},
        "sidecar-http": {"made": 1, "mirrored": 1, "stored": 1, "lost": 0, "duplicated": 0, "unasked": 0},
    }
    assert ledger.sources() == ["sdk", "sidecar-http"]


def test_lost_repeated_and_unasked_events_are_told_apart() -> None:
    ledger = Ledger([entry("a"), entry("b"), entry(""), entry("")])
    stored = [row("a"), row("a"), row("a"), row("x"), row("y")]
    assert sources_of(ledger, {"sdk": 4}, stored)["sdk"] == {
        "made": 4,
        "mirrored": 4,
        "stored": 1,
        "lost": 3,
        "duplicated": 2,
        "unasked": 2,
    }


def test_an_event_under_another_source_is_not_stored_under_its_own() -> None:
    figures = sources_of(Ledger([entry("a")]), {}, [row("a", "sidecar-grpc")])["sdk"]
    assert (figures["made"], figures["stored"], figures["lost"], figures["mirrored"]) == (1, 0, 0, 0)


def test_nothing_made_is_no_source() -> None:
    assert sources_of(Ledger(), {}, [row("x")]) == {}


def test_latency_is_compared_over_the_same_inferences() -> None:
    entries = [
        entry("a", time_to_first_token=0.2),
        entry("b", time_to_first_token=0.4),
        entry("c", time_to_first_token=None, time_per_output_token=None),
        entry("failed", failed=True, time_to_first_token=9.0),
        entry("lost", time_to_first_token=9.0),
    ]
    figures = latency_of(entries, [row("a", first=0.3), row("b", first=0.5), row("c"), row("failed", first=9.0)])
    first = figures["time_to_first_token"]
    assert first["inferences"] == 2
    assert first["client"] == {"p50": pytest.approx(0.3), "p95": pytest.approx(0.39)}
    assert first["stored"] == {"p50": pytest.approx(0.4), "p95": pytest.approx(0.49)}
    assert figures["duration"]["inferences"] == 3


def test_no_inferences_have_no_latency_and_no_freshness() -> None:
    assert latency_of([], [])["duration"] == {
        "inferences": 0,
        "client": {"p50": None, "p95": None},
        "stored": {"p50": None, "p95": None},
    }
    assert freshness_of(Ledger(), Seen()) == {"p50": None, "p99": None}


def test_freshness_runs_from_the_end_of_an_inference_to_when_it_could_be_queried() -> None:
    ledger = Ledger([entry("a", ended_at=10.0), entry("b", ended_at=20.0), entry("never", ended_at=30.0)])
    assert freshness_of(ledger, Seen({"a": 11.0, "b": 23.0, "other": 99.0})) == {"p50": 2.0, "p99": pytest.approx(2.98)}


def message(at: float, text: str) -> dict[str, Any]:
    return {"received_at": at, "payload": {"text": text}}


FIRED = "Critical: errors on smollm2 (default): 50% of requests failed: all of them on purpose"
SEEN = Seen(
    messages=[
        message(90.0, FIRED),
        message(105.0, FIRED),
        message(130.0, "Resolved: errors on smollm2 (default): 0%"),
        message(140.0, "Warning: topic-drift on smollm2 (default): other prompts"),
    ]
)


def test_an_alert_is_explained_by_the_incident_before_it() -> None:
    ledger = Ledger(incidents={"errors": 100.0})
    assert [(one["rule"], one["seconds_after_cause"]) for one in alerts_of(ledger, SEEN)] == [
        ("errors", None),
        ("errors", 5.0),
        ("errors", None),
        ("topic-drift", None),
    ]


def test_an_alert_is_noticed_when_it_fires_after_its_cause() -> None:
    assert SEEN.alert_at("errors", 100.0) == 105.0
    assert SEEN.alert_at("errors", 106.0) is None
    assert SEEN.alert_at("topic-drift", 0.0) == 140.0
    assert SEEN.alert_at("error", 0.0) is None


ROW = {"made": 1, "mirrored": 1, "stored": 1, "lost": 0, "duplicated": 0, "unasked": 0}
ALL = {"sdk": ROW, "sidecar-http": ROW, "sidecar-grpc": ROW}


def test_what_did_not_happen_is_named() -> None:
    ledger = Ledger(incidents={"errors": 100.0, "pii-in-prompts": 110.0})
    without = {"sdk": {**ROW, "unasked": 2}, "sidecar-grpc": ROW}
    assert missing_of(ledger, SEEN, without, [{"dataset": "/no/such/file", "rows": 5}]) == [
        "traffic from sidecar-http",
        "the making of 2 stored events of sdk",
        "a message about pii-in-prompts",
        "a retraining run with a dataset",
    ]


def report(**fields: Any) -> Report:
    given: dict[str, Any] = {
        "sources": ALL,
        "lost": 0,
        "repeated": 0,
        "unmasked": 0,
        "missing": [],
        "latency": latency_of([entry("a")], [row("a")]),
        "cost": {"total": "0.000012", "currency": "USD", "unknown_share": 0.25},
        "pii": {"planted": 7},
        "alerts": [{"message": FIRED}],
        "retraining": [{"rows": 12, "dataset": "/data/x.jsonl"}],
        "freshness": {"p50": 0.2, "p99": None},
    }
    return Report(**{**given, **fields})


def test_a_report_that_held_says_so() -> None:
    text = as_text(report())
    for said in ("0.000012 USD, 25% unknown", "7 values planted, 0 found in clear", FIRED, "12 conversations", "p99 –"):
        assert said in text
    assert text.endswith("Everything held.")
    assert json.loads(json.dumps(report().as_dict()))["sources"] == ALL


@pytest.mark.parametrize("fields", [{"lost": 1}, {"repeated": 1}, {"unmasked": 1}, {"missing": ["a message about x"]}])
def test_a_report_fails_for_anything_that_did_not_hold(fields: dict[str, Any]) -> None:
    assert not report(**fields).passed
    assert as_text(report(**fields)).endswith("Something did not hold.")


def test_planted_values_are_collected_from_every_entry() -> None:
    one, other = Planted("EMAIL_ADDRESS", "a@b.example"), Planted("US_SSN", "100-01-0001")
    assert Ledger([entry("a", planted=(one,)), entry("b"), entry("c", planted=(other, one))]).planted() == [
        one,
        other,
        one,
    ]


def test_an_answer_times_its_tokens_after_the_first() -> None:
    answer = Answer(begin=10.0)
    assert (answer.time_to_first_token, answer.time_per_output_token) == (None, None)
    answer.first, answer.end, answer.tokens = 10.5, 12.5, 5
    assert (answer.duration, answer.time_to_first_token, answer.time_per_output_token) == (2.5, 0.5, 0.5)


def test_an_empty_chunk_is_not_the_first_token() -> None:
    answer = Answer()
    answer.chunk("", 0)
    assert answer.first is None
    answer.chunk("a", 1)
    first = answer.first
    answer.chunk("b", 2)
    assert answer.first == first is not None
    assert answer.tokens == 3
