"""One span of a model call as one inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from inferwatch.events import InferenceEvent
from inferwatch.truncation import shorten
from ingest.collector.made_ids import made_id
from ingest.collector.otlp import names
from ingest.collector.otlp.attributes import (
    Attributes,
    as_text,
    from_json,
    number,
    plain,
    text,
    texts,
    truth,
    whole,
)
from ingest.collector.otlp.messages import conversation
from ingest.collector.received import Received

_NANOSECONDS: Final = 1e9
_MOST_ATTRIBUTES: Final = 64
_MOST_NAME_CHARACTERS: Final = 128
_MOST_VALUE_CHARACTERS: Final = 1_024
_MESSAGE_CHARACTERS: Final = 1_000
_NOW_FIRST_CHUNK: Final = names.FIRST_CHUNK[0]
_CANCELLED: Final = ("CancelledError", "GeneratorExit", "KeyboardInterrupt", "cancelled", "CANCELLED")
_FIELDS: Final = frozenset(
    name
    for group in (*names.TEXTS.values(), *names.COUNTS.values(), names.SERVICE, names.ENVIRONMENT, names.ERROR_TYPE)
    for name in group
) | {
    *(*names.FINISH_REASONS, *names.STREAM, *names.FIRST_CHUNK, *names.OPERATION, *names.REQUEST_TYPE),
    *(*names.SPAN_KIND, *names.OLD_PARAMETERS),
}


def operation_of(attributes: Attributes) -> str | None:
    """Return the operation of a span that is a model call, None for any other span."""
    operation = text(attributes, names.OPERATION)
    if operation is not None:
        return names.OPERATIONS.get(operation)
    request_type = text(attributes, names.REQUEST_TYPE)
    if request_type is not None:
        return names.REQUEST_TYPES.get(request_type)
    kind = text(attributes, names.SPAN_KIND)
    if kind is not None:
        return names.SPAN_KINDS.get(kind.upper())
    # The first conventions had no name for the operation.
    called = text(attributes, names.TEXTS["request_model"]) and text(attributes, names.TEXTS["provider"])
    return "chat" if called and text(attributes, names.WORKFLOW_KIND) is None else None


def event_of(
    span: Span, operation: str, attributes: Attributes, resource: Attributes, received: Received
) -> InferenceEvent:
    """Return the event of a span that is a model call.

    Its id is made of the trace's id, the span's id and its start: a span that is exported again is the same event.
    """
    trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
    started_at = span.start_time_unix_nano / _NANOSECONDS
    events = [(event.name, plain(event.attributes)) for event in span.events]
    given, made = conversation(attributes, events)
    if operation == "embeddings":
        # What came out is numbers, which some packages write down as a text.
        made = ()
    reasons = texts(attributes, names.FINISH_REASONS) or tuple(
        message.finish_reason for message in made if message.finish_reason
    )
    return InferenceEvent(
        event_id=made_id(started_at, trace_id, span_id),
        started_at=started_at,
        duration=(span.end_time_unix_nano - span.start_time_unix_nano) / _NANOSECONDS,
        source="otlp",
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=span.parent_span_id.hex() or None,
        service=text(resource, names.SERVICE) or text(attributes, names.SERVICE) or "",
        environment=_environment(attributes, resource, received),
        team=received.caller.team,
        operation=operation,
        input_messages=given,
        output_messages=made,
        content_unavailable=not given and not made,
        finish_reasons=reasons,
        parameters=_parameters(attributes),
        attributes=_others(attributes, resource),
        **_named(attributes),
        **_tokens(attributes),
        **_stream(span, attributes),
        **_outcome(span, attributes, events),
    )


def _environment(attributes: Attributes, resource: Attributes, received: Received) -> str:
    stated = text(resource, names.ENVIRONMENT) or text(attributes, names.ENVIRONMENT)
    return received.caller.environment or stated or received.environment


def _named(attributes: Attributes) -> dict[str, Any]:
    fields = {field: text(attributes, which) for field, which in names.TEXTS.items()}
    invocation = _invocation(attributes)
    asked = invocation.get("model") or invocation.get("model_name")
    if fields["request_model"] is None and isinstance(asked, str):
        fields["request_model"] = asked
    fields["provider"] = (fields["provider"] or "").lower()
    if fields["user"] is None and isinstance(invocation.get("user"), str):
        fields["user"] = invocation["user"]
    return {field: value for field, value in fields.items() if value is not None}


def _tokens(attributes: Attributes) -> dict[str, Any]:
    counts = {field: whole(attributes, which) for field, which in names.COUNTS.items()}
    known = {field: count for field, count in counts.items() if count is not None}
    return {**known, "token_source": "reported"} if known else {}


def _stream(span: Span, attributes: Attributes) -> dict[str, Any]:
    """Only of a stream there is a first chunk; some packages give that time for every call."""
    chunks = [event.time_unix_nano for event in span.events if event.name in names.CHUNK_EVENTS]
    stated = truth(attributes, names.STREAM)
    if stated is None:
        stated = truth(_invocation(attributes), ("stream",))
    if stated is None:
        stated = bool(chunks) or _NOW_FIRST_CHUNK in attributes
    if not stated:
        return {}
    first = number(attributes, names.FIRST_CHUNK)
    if first is None and chunks:
        first = max(0, min(chunks) - span.start_time_unix_nano) / _NANOSECONDS
    return {"stream": True, "time_to_first_token": first}


def _outcome(span: Span, attributes: Attributes, events: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    error_type = text(attributes, names.ERROR_TYPE)
    if span.status.code != Status.STATUS_CODE_ERROR and error_type is None:
        return {}
    exception = next((found for name, found in events if name == "exception"), {})
    error_type = error_type or text(exception, ("exception.type",)) or "error"
    message = span.status.message or text(exception, ("exception.message",)) or ""
    return {
        "status": "cancelled" if error_type.endswith(_CANCELLED) else "error",
        "error_type": error_type,
        "error_message": shorten(message, _MESSAGE_CHARACTERS) or None,
    }


def _invocation(attributes: Attributes) -> Mapping[str, Any]:
    found = next((attributes[name] for name in names.INVOCATION if attributes.get(name)), None)
    decoded = from_json(found)
    return decoded if isinstance(decoded, dict) else {}


def _parameters(attributes: Attributes) -> dict[str, Any]:
    """Return what the model was asked for besides the conversation; tool definitions and the like are left out."""
    found = {names.OLD_PARAMETERS[name]: value for name, value in attributes.items() if name in names.OLD_PARAMETERS}
    found |= _invocation(attributes)
    for prefix in names.PARAMETER_PREFIXES:
        found |= {name[len(prefix) :]: value for name, value in attributes.items() if name.startswith(prefix)}
    plain_values = {name: value for name, value in found.items() if _is_plain(value)}
    return {name: value for name, value in plain_values.items() if name not in names.NOT_PARAMETERS}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str | int | float | bool) for item in value)
    return isinstance(value, str | int | float | bool)


def _others(attributes: Attributes, resource: Attributes) -> dict[str, str]:
    """Return attributes that are no field, as texts, those of the span before those of its resource."""
    found: dict[str, str] = {}
    for name, value in (*attributes.items(), *resource.items()):
        if len(found) == _MOST_ATTRIBUTES:
            break
        known = name in _FIELDS or name in names.LEFT_OUT or name.startswith(names.LEFT_OUT_PREFIXES)
        if known or name.startswith(names.PARAMETER_PREFIXES) or len(name) > _MOST_NAME_CHARACTERS or value is None:
            continue
        found.setdefault(name, shorten(as_text(value), _MOST_VALUE_CHARACTERS))
    return found
