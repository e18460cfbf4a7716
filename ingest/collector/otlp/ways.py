"""OTLP's paths over HTTP (OTLP 1.7, "OTLP/HTTP Request")."""

from __future__ import annotations

from typing import Final

from ingest.collector.json_values import JSON
from ingest.collector.otlp.requests import MEDIA_TYPES, PROTOBUF, decode_logs, decode_metrics, decode_traces
from ingest.collector.otlp.status import refuse
from ingest.collector.way import Way


def _same(media_type: str) -> str:
    return JSON if media_type == JSON else PROTOBUF


OTLP_WAYS: Final = (
    Way("/v1/traces", MEDIA_TYPES, decode_traces, refuse, _same),
    Way("/v1/logs", MEDIA_TYPES, decode_logs, refuse, _same),
    Way("/v1/metrics", MEDIA_TYPES, decode_metrics, refuse, _same),
)
