"""Refusals as OTLP wants them told: `google.rpc.Status`, with `RetryInfo` where trying again makes sense.

These types are in no package that is needed otherwise; their encoding is a few lines (google/rpc/status.proto and
google/rpc/error_details.proto).
"""

from __future__ import annotations

from typing import Final

import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from ingest.collector.answers import Answer, refusal_headers
from ingest.collector.json_values import JSON
from ingest.collector.otlp.requests import PROTOBUF
from ingest.errors import Refused

INVALID_ARGUMENT: Final = 3
_CODES: Final = {401: 16, 408: 4, 413: 8, 429: 8, 503: 14}
"""gRPC's codes for HTTP's; any other refusal is an invalid argument."""

_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"


def grpc_code(error: Refused) -> int:
    """Return the number of the gRPC status code for a refusal."""
    return _CODES.get(error.status, INVALID_ARGUMENT)


def status_bytes(error: Refused) -> bytes:
    """Return a refusal as a serialised `google.rpc.Status`."""
    parts = b"\x08" + _varint(grpc_code(error)) + _field(2, str(error).encode("utf-8", "replace"))
    if error.retry_after is not None:
        delay = _field(1, Duration(seconds=error.retry_after).SerializeToString())
        parts += _field(3, AnyMessage(type_url=_RETRY_INFO, value=delay).SerializeToString())
    return parts


def refuse(error: Refused, media_type: str) -> Answer:
    """Return the answer over HTTP, in the request's own form (OTLP, "Failures")."""
    headers = refusal_headers(error)
    if media_type == PROTOBUF:
        return Answer(error.status, status_bytes(error), PROTOBUF, headers)
    body = msgspec.json.encode({"code": grpc_code(error), "message": str(error)})
    return Answer(error.status, body, JSON, headers)


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
