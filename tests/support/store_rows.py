"""Rows for tests and demonstrations: complete columns from the few values that matter."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from storage.client import StoreSettings
from storage.migrate import migrate

RECENT = (datetime.now(UTC) - timedelta(hours=2)).replace(minute=34, second=56, microsecond=789_012)
"""A moment that is not yet older than the tables keep rows, and not on any round time."""

INFERENCE: Mapping[str, Any] = {
    "source_topic_id": "first",
    "source_partition": 0,
    "source_offset": 0,
    "source_index": 0,
    "environment": "production",
    "service": "shop",
    "team": "search",
    "user": "",
    "source": "sdk",
    "trace_id": "",
    "span_id": "",
    "parent_span_id": "",
    "conversation_id": "",
    "response_id": "",
    "operation": "chat",
    "provider": "triton",
    "request_model": "smollm2",
    "model": "smollm2",
    "model_version": "1",
    "prompt_name": "",
    "prompt_version": "",
    "parameters": "",
    "stream": True,
    "time_to_first_token": None,
    "time_per_output_token": None,
    "duration": 1.0,
    "queue_time": None,
    "compute_time": None,
    "input_tokens": None,
    "output_tokens": None,
    "cache_read_tokens": None,
    "cache_creation_tokens": None,
    "reasoning_tokens": None,
    "token_source": "reported",
    "cost": None,
    "price": "",
    "status": "ok",
    "error_type": "",
    "error_message": "",
    "finish_reasons": [],
    "input_messages": "",
    "output_messages": "",
    "input_characters": 0,
    "output_characters": 0,
    "truncated": False,
    "content_unavailable": False,
    "pii": [],
    "tensors": "",
    "attributes": {},
    "flags": [],
}


def prepared(url: str, database: str = "inferwatch") -> StoreSettings:
    """Return settings of a database that has all tables."""
    settings = StoreSettings(url=url, database=database)
    migrate(settings)
    return settings


def inferences(rows: Sequence[Mapping[str, Any]], arrived: datetime | None = None) -> dict[str, list[Any]]:
    """Return columns of `inferences`; each row needs `started_at`, the rest has defaults."""
    full = [
        {
            "event_id": uuid.uuid4(),
            **INFERENCE,
            "ingested_at": arrived or row["started_at"] + timedelta(seconds=row.get("duration", 1.0)),
            **row,
        }
        for row in rows
    ]
    return columns(full)


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def chat(*turns: tuple[str, str]) -> str:
    """Return messages as they are stored."""
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in turns], ensure_ascii=False
    )


def transition(alert_id: uuid.UUID, state: str, at: datetime, **values: Any) -> dict[str, Any]:
    """Return a row of `alerts`."""
    return {
        "transition_id": uuid.uuid5(alert_id, f"{state} {at}"),
        "alert_id": alert_id,
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
        "summary": "25% of requests failed in the last minute",
        "written_at": at,
        **values,
    }


def detection(at: datetime, **values: Any) -> dict[str, Any]:
    """Return a row of `detections`."""
    return {
        "detection_id": uuid.uuid4(),
        "at": at,
        "environment": "production",
        "model": "smollm2",
        "signal": "embedding",
        "detector": "mmd",
        "statistic": 0.034,
        "threshold": 0.012,
        "p_value": None,
        "window_events": 64,
        "baseline": None,
        "observed": None,
        "event_ids": [],
        "written_at": at,
        **values,
    }


def retraining_run(at: datetime, alert_id: uuid.UUID, **values: Any) -> dict[str, Any]:
    """Return a row of `retraining_runs`."""
    return {
        "run_id": uuid.uuid5(alert_id, "retraining"),
        "at": at,
        "alert_id": alert_id,
        "environment": "production",
        "model": "smollm2",
        "reason": "topic-drift: prompts are about something else than before",
        "status": "dataset written",
        "dataset": "/data/retraining/production-smollm2.jsonl",
        "rows": 1_832,
        "written_at": at,
        **values,
    }


def an_hour(now: datetime, requests: int, seed: int = 7) -> list[dict[str, Any]]:
    """Return inferences of the hour before `now` as a small company might have them: three models, an incident."""
    dice = random.Random(seed)
    rows = []
    for _ in range(requests):
        age = dice.random() * 3_600
        model = dice.choices(("smollm2", "summariser", "ranker"), (6, 3, 1))[0]
        incident = 900 < age < 1_320 and model == "smollm2"
        streamed = model != "ranker"
        first = dice.lognormvariate(-2.2, 0.4) * (6 if incident else 1)
        each = dice.lognormvariate(-5.2, 0.25)
        given, made = dice.randint(20, 900), dice.randint(5, 220)
        status = dice.choices(("ok", "error", "cancelled"), (70, 30, 3) if incident else (980, 6, 14))[0]
        hits = [("EMAIL_ADDRESS", "input", 1)] if dice.random() < 0.06 else []
        hits += [("PHONE_NUMBER", "input", 2)] if dice.random() < 0.02 else []
        hits += [("CREDIT_CARD", "output", 1)] if dice.random() < 0.004 else []
        asked = dice.choice(QUESTIONS) + (" Write to <EMAIL_ADDRESS>." if hits else "")
        rows.append(
            {
                "event_id": uuid.UUID(int=dice.getrandbits(128), version=4),
                "started_at": now - timedelta(seconds=age),
                "team": dice.choice(("search", "support", "")),
                "source": dice.choices(("sdk", "sidecar-http", "otlp"), (6, 3, 1))[0],
                "environment": dice.choices(("production", "staging"), (9, 1))[0],
                "model": model,
                "request_model": model,
                "trace_id": f"{dice.getrandbits(128):032x}",
                "span_id": f"{dice.getrandbits(64):016x}",
                "stream": streamed,
                "duration": first + each * made if streamed else dice.lognormvariate(-4.5, 0.3),
                "time_to_first_token": first if streamed and status != "error" else None,
                "time_per_output_token": each if streamed and status != "error" else None,
                "queue_time": dice.random() * 0.01,
                "compute_time": first,
                "input_tokens": given if streamed else None,
                "output_tokens": (made if status != "error" else 0) if streamed else None,
                "cost": Decimal(given * 15 + made * 60) / Decimal(100_000_000) if model == "smollm2" else None,
                "price": "smollm2, $0.15 and $0.60 a million tokens" if model == "smollm2" else "",
                "status": status,
                "error_type": "InferenceServerException" if status == "error" else "",
                "error_message": "request timed out in the queue" if status == "error" else "",
                "finish_reasons": ["stop"] if status == "ok" else [],
                "input_messages": chat(("system", "Answer in one sentence."), ("user", asked)) if streamed else "",
                "output_messages": chat(("assistant", "It depends on where you are.")) if streamed and made else "",
                "input_characters": len(asked) + 23 if streamed else 0,
                "output_characters": 28 if streamed else 0,
                "parameters": '{"temperature":0.2,"max_tokens":256}' if streamed else "",
                "tensors": "" if streamed else TENSORS,
                "pii": hits if streamed else [],
                "attributes": {"tenant": dice.choice(("north", "south")), "app.version": "4.2.0"},
            }
        )
    return rows


QUESTIONS = (
    "How do I reset my password?",
    "Which trains go to the airport tonight?",
    "Summarise this contract in three points.",
    "Why was my card charged twice?",
    "What is the weather in the mountains tomorrow?",
    "Translate the attached menu into Portuguese.",
)
TENSORS = '{"input":[{"name":"FEATURES","datatype":"FP32","shape":[1,64],"count":64,"mean":0.12,"deviation":0.98}]}'
