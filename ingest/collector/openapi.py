"""The OpenAPI document of the HTTP port, made from the event types themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from inferwatch.events import DropReport, FeedbackEvent, InferenceEvent, ServerSample
from inferwatch.validity import MOST_ATTRIBUTES, MOST_NAME_CHARACTERS, NAMES
from ingest.collector.json_values import JSON, NDJSON
from ingest.collector.way import Way

_REF: Final = "#/components/schemas/{name}"
_SUMMARIES: Final = {
    "/v1/events": ("Inferences", "InferenceEvent"),
    "/v1/feedback": ("Ratings and corrections of inferences", "FeedbackEvent"),
    "/v1/telemetry": ("What mirrors lost, and what model servers say of themselves", "TelemetryEvent"),
    "/cloudevents": ("Requests and responses as KServe's logger sends them (CloudEvents 1.0 over HTTP)", ""),
    "/v1/traces": ("OTLP spans: ExportTraceServiceRequest", ""),
    "/v1/logs": ("OTLP log records: accepted and left out", ""),
    "/v1/metrics": ("OTLP metrics: accepted and left out", ""),
}
_REQUIRED: Final = {
    # The collector fills in the rest.
    "InferenceEvent": ["duration"],
    "FeedbackEvent": [],
}
_REFUSALS: Final = {
    "400": "The body is not what its content type says.",
    "401": "No API key, or none that is valid now.",
    "408": "The body did not arrive in time.",
    "413": "The body, decompressed, or one event is too large, or there are too many ratings of different inferences.",
    "415": "The content type or coding is not understood.",
    "422": "An event cannot be taken; `index` and `path` say which and where. Nothing of the request was stored.",
    "429": "More than this key may send.",
    "503": "Not known to be stored. Send it again, with the same Idempotency-Key, after `Retry-After` seconds.",
}


def document(ways: Sequence[Way]) -> bytes:
    """Return the document as JSON."""
    paths = {way.path: {"post": _operation(way)} for way in ways if way.path in _SUMMARIES}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Inferwatch collector",
                "version": "1",
                "description": "Telemetry of model inference. A 2xx means that Kafka has acknowledged everything.",
            },
            "security": [{"bearer": []}, {"header": []}],
            "paths": paths,
            "components": {
                "schemas": _schemas(),
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": "`iw_…`"},
                    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            },
        }
    )


def _operation(way: Way) -> dict[str, Any]:
    summary, schema = _SUMMARIES[way.path]
    content = {media_type: {"schema": _body_schema(media_type, schema)} for media_type in way.media_types}
    refusals = {status: {"description": text, **_refusal_parts(status, way)} for status, text in _REFUSALS.items()}
    return {
        "summary": summary,
        "operationId": way.path.strip("/").replace("/", "_"),
        "parameters": [_header("Idempotency-Key", "Names the request: what has the same key is stored once.", 255)],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _accepted(way), **refusals},
    }


def _accepted(way: Way) -> dict[str, Any]:
    types = {way.answer_type(media_type) for media_type in way.media_types}
    content = {media_type: {"schema": {"type": "object"} if media_type == JSON else {}} for media_type in sorted(types)}
    return {"description": "Kafka has acknowledged all of it.", "content": content}


def _refusal_parts(status: str, way: Way) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if status in ("429", "503"):
        parts["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}}
    if way.refuses_as_json:
        parts["content"] = {JSON: {"schema": {"$ref": _REF.format(name="Error")}}}
    return parts


def _header(name: str, description: str, most: int) -> dict[str, Any]:
    # Header values are visible ASCII (RFC 9110, section 5.5).
    schema = {"type": "string", "maxLength": most, "pattern": "^[!-~]*$"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _body_schema(media_type: str, schema: str) -> dict[str, Any]:
    if not schema:
        return {}
    one = {"$ref": _REF.format(name=schema)}
    if media_type == NDJSON:
        return {"type": "string", "description": "One JSON object a line."}
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _schemas() -> dict[str, Any]:
    kinds = [InferenceEvent, FeedbackEvent, DropReport | ServerSample]
    (_, _, telemetry), schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    for name, required in _REQUIRED.items():
        schemas[name]["required"] = required
    event = schemas["InferenceEvent"]
    event["anyOf"] = [{"required": ["request_model"]}, {"required": ["response_model"]}]
    event["properties"]["event_id"]["format"] = "uuid"
    event["properties"]["duration"]["minimum"] = 0
    event["properties"]["attributes"]["maxProperties"] = MOST_ATTRIBUTES
    for name in NAMES:
        _bounded(event["properties"][name])
    schemas["TelemetryEvent"] = telemetry
    schemas["Error"] = _error_schema()
    return dict(schemas)


def _bounded(schema: dict[str, Any]) -> None:
    for each in schema.get("anyOf", [schema]):
        if each.get("type") == "string":
            each["maxLength"] = MOST_NAME_CHARACTERS


def _error_schema() -> dict[str, Any]:
    told = {
        "code": {"type": "string", "description": "What went wrong, for programs."},
        "message": {"type": "string", "description": "What went wrong, for people; never quotes what was sent."},
        "index": {"type": "integer", "description": "Which event of the request, from 0."},
        "path": {"type": "string", "description": "Where in that event, such as `$.duration`."},
    }
    error = {"type": "object", "properties": told, "required": ["code", "message"]}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}
