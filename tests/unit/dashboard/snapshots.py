"""What the store might say, for tests of the pages."""

from __future__ import annotations

import uuid
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from dashboard.scope import WINDOWS, Scope
from dashboard.views import drift, explorer, overview
from inferwatch.events import Message, Part, text_message
from storage.queries import (
    Alert,
    Detection,
    DriftSignal,
    Filters,
    Freshness,
    Group,
    Inference,
    InferenceRow,
    Latency,
    Page,
    PiiCount,
    Point,
    RetrainingRun,
    TimeRange,
    Traffic,
)
from storage.queries.inferences import PiiFound

NOW = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
SCOPE = Scope(WINDOWS["15m"], Filters(), UTC)
RANGE: TimeRange = SCOPE.window.range(NOW)
ALERT = uuid.UUID(int=1)
EVENT = uuid.UUID(int=2)
SOME = Traffic(
    requests=200,
    errors=10,
    cancelled=4,
    input_tokens=12_000,
    output_tokens=3_000,
    cost=Decimal("0.1234"),
    requests_without_cost=50,
    requests_with_pii=20,
    duration=Latency(1.5, 2.5, 4.0),
    time_to_first_token=Latency(0.182, 0.365, 0.5),
    time_per_output_token=Latency(0.0055, 0.0081, 0.01),
)


TEXTS = [field.name for field in fields(Inference) if field.type == "str"]


def alert(state: str, minutes: float, **values: Any) -> Alert:
    at = NOW - timedelta(minutes=minutes)
    given: dict[str, Any] = {
        "transition_id": uuid.uuid5(ALERT, f"{state} {minutes}"),
        "alert_id": ALERT,
        "at": at,
        "started_at": at,
        "state": state,
        "rule": "errors",
        "severity": "critical",
        "environment": "production",
        "model": "smollm2",
        "signal": "error",
        "value": 0.25,
        "threshold": 0.1,
        "events": 120,
        "summary": "25% of requests failed",
    }
    return Alert(**given | values)


def detection(minutes: float = 3) -> Detection:
    return Detection(
        detection_id=uuid.UUID(int=9),
        at=NOW - timedelta(minutes=minutes),
        environment="production",
        model="smollm2",
        signal="embedding",
        detector="mmd",
        statistic=0.0342,
        threshold=0.012,
        p_value=None,
        window_events=64,
        baseline=None,
        observed=None,
        event_ids=(EVENT,),
    )


def busy() -> overview.Snapshot:
    return overview.Snapshot(
        now=NOW,
        range=RANGE,
        traffic=SOME,
        before=Traffic(requests=100, errors=1),
        points=tuple(Point(at, SOME) for at in RANGE.steps(SCOPE.window.step)),
        groups=(Group("smollm2", SOME), Group("", Traffic(requests=3, cost=None, requests_without_cost=3))),
        pii=(PiiCount("EMAIL_ADDRESS", "input", 12, 9), PiiCount("EMAIL_ADDRESS", "output", 2, 1)),
        alerts=(alert("firing", 7),),
        drift=(DriftSignal("production", "smollm2", "embedding", 2, detection()),),
        freshness=Freshness(NOW - timedelta(seconds=2), 1.2),
    )


def quiet(newest: datetime | None = None) -> overview.Snapshot:
    return overview.Snapshot(
        now=NOW,
        range=RANGE,
        traffic=Traffic(),
        before=Traffic(),
        points=tuple(Point(at, Traffic()) for at in RANGE.steps(SCOPE.window.step)),
        groups=(),
        pii=(),
        alerts=(),
        drift=(),
        freshness=Freshness(newest, None if newest is None else 0.5),
    )


def incidents() -> drift.Snapshot:
    return drift.Snapshot(
        now=NOW,
        range=RANGE,
        open=(alert("firing", 7),),
        transitions=(alert("firing", 7), alert("pending", 8)),
        detections=(detection(),),
        runs=(
            RetrainingRun(
                run_id=uuid.UUID(int=4),
                at=NOW - timedelta(minutes=2),
                alert_id=ALERT,
                environment="production",
                model="smollm2",
                reason="topic-drift",
                status="dataset written",
                dataset="/data/retraining/production-smollm2.jsonl",
                rows=1_832,
            ),
        ),
    )


def no_incidents() -> drift.Snapshot:
    return drift.Snapshot(NOW, RANGE, (), (), (), ())


def row() -> InferenceRow:
    return InferenceRow(
        event_id=EVENT,
        started_at=NOW - timedelta(seconds=20),
        environment="production",
        service="shop",
        team="",
        source="sdk",
        model="smollm2",
        model_version="1",
        status="error",
        error_type="Timeout",
        duration=1.5,
        time_to_first_token=None,
        time_per_output_token=None,
        input_tokens=12,
        output_tokens=None,
        cost=None,
        flags=(),
        trace_id="",
        pii_types=("EMAIL_ADDRESS",),
        preview="write to <EMAIL_ADDRESS>",
    )


def one(**values: Any) -> Inference:
    given: dict[str, Any] = dict.fromkeys(TEXTS, "") | {
        "event_id": EVENT,
        "started_at": NOW - timedelta(seconds=20),
        "ingested_at": NOW - timedelta(seconds=18),
        "source": "sdk",
        "source_partition": 3,
        "source_offset": 77,
        "model": "smollm2",
        "stream": True,
        "time_to_first_token": 0.182,
        "time_per_output_token": 0.0055,
        "duration": 1.5,
        "queue_time": None,
        "compute_time": None,
        "input_tokens": 12,
        "output_tokens": 34,
        "cache_read_tokens": None,
        "cache_creation_tokens": None,
        "reasoning_tokens": None,
        "cost": None,
        "status": "ok",
        "finish_reasons": ("stop",),
        "input_messages": (text_message("user", "write to <EMAIL_ADDRESS>"),),
        "output_messages": (
            Message(role="assistant", parts=(Part(type="tool_call", name="mail", arguments={"to": "<PHONE_NUMBER>"}),)),
        ),
        "input_characters": 24,
        "output_characters": 0,
        "truncated": False,
        "content_unavailable": False,
        "pii": (PiiFound("EMAIL_ADDRESS", "input", 1),),
        "attributes": {"tenant": "north*"},
        "flags": (),
        "text_expired": False,
    }
    return Inference(**given | values)


def listed(chosen: Inference | None = None) -> explorer.Snapshot:
    return explorer.Snapshot(NOW, SOME, Page((row(),), None), chosen)


def nothing_listed() -> explorer.Snapshot:
    return explorer.Snapshot(NOW, Traffic(), Page((), None), None)
