"""OTLP requests, in protobuf or JSON (OTLP 1.7, "OTLP/HTTP"), to batches and their answers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from inferwatch.errors import EventError
from inferwatch.wire import decode_inference
from ingest.collector.batch import Batch, inference_line, inference_records
from ingest.collector.json_values import JSON
from ingest.collector.otlp.attributes import Attributes, plain
from ingest.collector.otlp.span import event_of, operation_of
from ingest.collector.received import Received
from ingest.collector.validity import event_invalid
from ingest.errors import Malformed, Refused

PROTOBUF: Final = "application/x-protobuf"
MEDIA_TYPES: Final = (PROTOBUF, JSON)

R = TypeVar("R", ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest)

_IDS: Final = ("traceId", "spanId", "parentSpanId")
_MOST_REASONS: Final = 3
_NO_LOGS: Final = (
    "log records are not stored: messages are read from spans, where"
    " OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and"
    " OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only put them"
)
_NO_METRICS: Final = "data points are not stored: inferences are read from spans"
_UNEXPECTED: Final = (AttributeError, TypeError, ValueError, OverflowError)
"""What protobuf's JSON reader lets through of values that it did not expect."""


def decode_traces(received: Received) -> Batch:
    """Return the inferences among spans; other spans are left out, and impossible ones are told as rejected.

    Raises:
        Malformed: the body is no such request.
    """
    request = read(received, ExportTraceServiceRequest)
    lines: list[bytes] = []
    rejected: list[str] = []
    ignored = 0
    for resource_spans in request.resource_spans:
        resource = plain(resource_spans.resource.attributes)
        for span in (span for scope in resource_spans.scope_spans for span in scope.spans):
            attributes = plain(span.attributes)
            operation = operation_of(attributes)
            if operation is None:
                ignored += 1
                continue
            try:
                lines.append(_line(span, operation, attributes, resource, received))
            except Refused as error:
                rejected.append(str(error))
    return Batch(
        tuple(inference_records(lines)),
        _written(_traces_answer(rejected), received.media_type),
        (
            ("inferwatch_collector_events_total", len(lines)),
            ("inferwatch_collector_otlp_ignored_total", ignored),
            ("inferwatch_collector_otlp_rejected_total", len(rejected)),
        ),
        repeatable=True,
    )


def decode_logs(received: Received) -> Batch:
    """Return nothing to store: log records are left out, and their sender is told."""
    request = read(received, ExportLogsServiceRequest)
    left_out = sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)
    answer = ExportLogsServiceResponse()
    if left_out:
        answer.partial_success.rejected_log_records = left_out
        answer.partial_success.error_message = _NO_LOGS
    return _left_out(answer, left_out, received)


def decode_metrics(received: Received) -> Batch:
    """Return nothing to store: data points are left out, and their sender is told."""
    request = read(received, ExportMetricsServiceRequest)
    left_out = sum(
        _data_points(metric)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
    answer = ExportMetricsServiceResponse()
    if left_out:
        answer.partial_success.rejected_data_points = left_out
        answer.partial_success.error_message = _NO_METRICS
    return _left_out(answer, left_out, received)


def read(received: Received, kind: Callable[[], R]) -> R:
    """Return the message that a body holds.

    Raises:
        Malformed: it holds none.
    """
    message = kind()
    try:
        if received.media_type == JSON:
            decoded = msgspec.json.decode(received.body, type=dict[str, Any])
            ParseDict(_with_base64_ids(decoded), message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(received.body)
    except (DecodeError, ParseError, msgspec.MsgspecError, RecursionError, *_UNEXPECTED) as error:
        raise Malformed(f"not an {message.DESCRIPTOR.name} as {received.media_type}") from error
    return message


def _line(span: Span, operation: str, attributes: Attributes, resource: Attributes, received: Received) -> bytes:
    """Return the line of a span. Raises `Refused` where it cannot be true, or does not fit."""
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or not any(span.trace_id) or not any(span.span_id):
        raise Malformed("a span has no valid trace_id and span_id")
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        raise Malformed("a span ends before it starts, or has no times")
    event = event_of(span, operation, attributes, resource, received)
    wrong = event_invalid(event, received.at)
    if wrong is not None:
        raise Malformed(f"{wrong[0]}: {wrong[1]}")
    line = inference_line(event, received.most_characters, 0)
    # Values come out of somebody's attributes: a field of another type must not reach the wire.
    try:
        decode_inference(line)
    except EventError as error:
        raise Malformed(error.reason) from error
    return line


def _traces_answer(rejected: list[str]) -> ExportTraceServiceResponse:
    answer = ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = len(rejected)
        answer.partial_success.error_message = "; ".join(list(dict.fromkeys(rejected))[:_MOST_REASONS])
    return answer


def _data_points(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return 0 if kind is None else len(getattr(metric, kind).data_points)


def _left_out(answer: Message, count: int, received: Received) -> Batch:
    return Batch((), _written(answer, received.media_type), (("inferwatch_collector_otlp_ignored_total", count),))


def _written(answer: Message, media_type: str) -> bytes:
    return MessageToJson(answer, indent=None).encode() if media_type == JSON else answer.SerializeToString()


def _with_base64_ids(value: Any) -> Any:
    """OTLP's JSON has ids in hexadecimal, where protobuf's own has all bytes in Base64."""
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(item)).decode()
        if name in _IDS and isinstance(item, str)
        else _with_base64_ids(item)
        for name, item in value.items()
    }
