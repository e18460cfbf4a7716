"""The recorded payloads, and where they are in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

HERE: Final = Path(__file__).resolve().parent
NAMES: Final = sorted(file.name.removesuffix(".traces.pb") for file in HERE.glob("*.traces.pb"))


def traces(name: str) -> ExportTraceServiceRequest:
    """Return the spans that a package sent."""
    return ExportTraceServiceRequest.FromString((HERE / f"{name}.traces.pb").read_bytes())


def logs(name: str) -> bytes:
    """Return the log records that a package sent, serialised."""
    return (HERE / f"{name}.logs.pb").read_bytes()


def ended_at(request: ExportTraceServiceRequest) -> float:
    """Return when the last span ended, in Unix seconds."""
    return max(span.end_time_unix_nano for span in _spans(request)) / 1e9


def moved_to(request: ExportTraceServiceRequest, at: float) -> ExportTraceServiceRequest:
    """Return the same spans as if the last one had ended at `at`."""
    moved = ExportTraceServiceRequest()
    moved.CopyFrom(request)
    by = int((at - ended_at(request)) * 1e9)
    for span in _spans(moved):
        span.start_time_unix_nano += by
        span.end_time_unix_nano += by
        for event in span.events:
            event.time_unix_nano += by
    return moved


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    return (span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans)
