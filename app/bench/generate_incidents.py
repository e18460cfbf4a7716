"""Alerts, detections and retraining runs as an unquiet fortnight leaves them."""

from __future__ import annotations

from typing import Final

from clickhouse_connect.driver.client import Client

from app.bench.generate_rows import Traffic
from app.bench.row_expressions import MODELS, numbered

_ALERTS: Final = 20_000
_DETECTIONS: Final = 50_000
_RUNS: Final = 500
_SECONDS: Final = 14 * 86_400


def generate_incidents(client: Client, traffic: Traffic) -> None:
    """Insert transitions of alerts, all but a few of them resolved, detections and retraining runs."""
    parameters = {"start": int(traffic.start.timestamp())}
    for statement in (_TRANSITIONS, _FOUND, _RETRAINED):
        client.command(statement, parameters)


def _id(kind: str, number: str) -> str:
    return f"reinterpretAsUUID(MD5(concat('{kind}', toString({number}))))"


def _at(number: str, count: int) -> str:
    return (
        f"fromUnixTimestamp64Micro(toInt64(({{start:UInt32}} + {_SECONDS} * ({number} + 0.5) / {count}) * 1e6), 'UTC')"
    )


_MODEL: Final = numbered(MODELS, f"cityHash64(number) % {len(MODELS)}")
_TRANSITIONS: Final = f"""
    INSERT INTO alerts
    SELECT {_id("transition", "number")}, {_id("alert", "intDiv(number, 3)")}, {_at("number", _ALERTS)},
        {_at("intDiv(number, 3) * 3", _ALERTS)},
        ['pending', 'firing', if(intDiv(number, 3) % 500 = 7, 'firing', 'resolved')][number % 3 + 1],
        'error-rate', 'critical', 'production', {_MODEL}, 'error', 0.25, 0.1, 120,
        '25% of requests failed in the last minute', {_at("number", _ALERTS)}
    FROM numbers({_ALERTS})
"""  # noqa: S608 - expressions of our own
_FOUND: Final = f"""
    INSERT INTO detections
    SELECT {_id("detection", "number")}, {_at("number", _DETECTIONS)}, 'production', {_MODEL}, 'embedding', 'mmd',
        0.034, 0.012, 0.004, 64, NULL, NULL, arrayMap(i -> {_id("event", "number * 8 + i")}, range(8)),
        {_at("number", _DETECTIONS)}
    FROM numbers({_DETECTIONS})
"""  # noqa: S608 - expressions of our own
_RETRAINED: Final = f"""
    INSERT INTO retraining_runs
    SELECT {_id("run", "number")}, {_at("number", _RUNS)}, {_id("alert", "number")}, 'production', {_MODEL},
        'topic-drift', 'loaded', '/data/retraining/set.jsonl', 2000, {_at("number", _RUNS)}
    FROM numbers({_RUNS})
"""  # noqa: S608 - expressions of our own
