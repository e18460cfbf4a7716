"""CloudEvents over HTTP (CloudEvents 1.0.2, HTTP protocol binding): binary, structured and batched content mode.

Types are those of KServe's logger (pkg/logger/worker.go) and of Seldon's, which came before it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from inferwatch import topics
from inferwatch.transport import Record
from inferwatch.validity import MOST_NAME_CHARACTERS
from ingest.collector.batch import MOST_EVENT_BYTES, Batch
from ingest.collector.cloudevents.half import Half, Kind, encode, text_or_data
from ingest.collector.json_values import objects_in
from ingest.collector.otlp.attributes import from_json
from ingest.collector.received import Received
from ingest.collector.validity import moment_invalid
from ingest.errors import Invalid, TooLarge, WrongMediaType

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"

_KINDS: Final[dict[str, Kind]] = {
    "org.kubeflow.serving.inference.request": "request",
    "org.kubeflow.serving.inference.response": "response",
    "io.seldon.serving.inference.request": "request",
    "io.seldon.serving.inference.response": "response",
}
_MOST_HEADERS: Final = 64


def decode_cloudevents(received: Received) -> Batch:
    """Return a record of each half.

    Raises:
        Refused: it is no CloudEvent, or not of a type that is known here.
    """
    halves = [_half(attributes, body, index, received) for index, (attributes, body) in enumerate(_events(received))]
    records = [
        Record(topics.CLOUDEVENT_HALVES, encode(half), 1, half.key.encode("utf-8", "replace")) for half in halves
    ]
    for index, record in enumerate(records):
        if len(record.value) > MOST_EVENT_BYTES:
            raise TooLarge("the event", MOST_EVENT_BYTES, index)
    answer = msgspec.json.encode({"accepted": len(halves)})
    # One that comes again is left out when it is joined, so there is nothing to remember of bodies.
    return Batch(tuple(records), answer, (("inferwatch_collector_halves_total", len(halves)),))


def _events(received: Received) -> list[tuple[Mapping[str, Any], bytes]]:
    """Return attributes and data of each event."""
    if received.media_type in (STRUCTURED, BATCHED):
        values = objects_in(received.body, received.media_type)
        return [(value, _data(value, index)) for index, value in enumerate(values)]
    headers = received.headers
    if "ce-specversion" not in headers:
        raise WrongMediaType("Content-Type", (STRUCTURED, BATCHED, "any, with ce-specversion and other ce- headers"))
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    return [(attributes, received.body)]


def _data(value: Mapping[str, Any], index: int) -> bytes:
    if "data_base64" in value:
        try:
            return base64.b64decode(str(value["data_base64"]), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Invalid(index, "$.data_base64", "not Base64") from error
    data = value.get("data")
    try:
        return data.encode("utf-8", "replace") if isinstance(data, str) else msgspec.json.encode(data)
    except RecursionError as error:
        raise Invalid(index, "$.data", "nested too deeply") from error


def _half(attributes: Mapping[str, Any], body: bytes, index: int, received: Received) -> Half:
    kind = _KINDS.get(_text(attributes, "type", index))
    if kind is None:
        raise Invalid(index, "$.type", f"not one of {', '.join(_KINDS)}")
    event_id = _text(attributes, "id", index)
    if not event_id:
        raise Invalid(index, "$.id", "required")
    service, namespace, component = (
        _text(attributes, name, index) for name in ("inferenceservicename", "namespace", "component")
    )
    # A transformer passes the id on to its predictor, and both are logged.
    key = "/".join((received.caller.key_id, namespace, service, component, event_id))
    return Half(
        kind=kind,
        key=key,
        at=_at(attributes, index, received.at),
        id=event_id,
        service=service,
        namespace=namespace,
        endpoint=_text(attributes, "endpoint", index),
        component=component,
        team=received.caller.team,
        environment=received.caller.environment,
        headers=_headers(attributes.get("metadata")),
        **text_or_data(body),  # type: ignore[arg-type]
    )


def _text(attributes: Mapping[str, Any], name: str, index: int) -> str:
    value = attributes.get(name, "")
    if not isinstance(value, str) or len(value) > MOST_NAME_CHARACTERS:
        raise Invalid(index, f"$.{name}", f"not a text of at most {MOST_NAME_CHARACTERS} characters")
    try:
        # Bytes of a header that are no UTF-8 come as surrogates, which nothing behind this could write down.
        value.encode()
    except UnicodeEncodeError as error:
        raise Invalid(index, f"$.{name}", "not UTF-8") from error
    return value


def _at(attributes: Mapping[str, Any], index: int, arrived: float) -> float:
    """Return the event's own time (RFC 3339), or when it arrived."""
    stated = _text(attributes, "time", index)
    if not stated:
        return arrived
    try:
        moment = datetime.fromisoformat(stated)
        at = moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(index, "$.time", "not a time as RFC 3339 has it") from error
    if moment.tzinfo is None:
        raise Invalid(index, "$.time", "without a time zone")
    wrong = moment_invalid("time", at, arrived)
    if wrong is not None:
        raise Invalid(index, *wrong)
    return at


def _headers(metadata: Any) -> dict[str, str]:
    """Return what KServe passes on of the request's headers: JSON with a list of values a name."""
    decoded = from_json(metadata)
    if not isinstance(decoded, dict):
        return {}
    found = {}
    for name, values in list(decoded.items())[:_MOST_HEADERS]:
        first = values[0] if isinstance(values, list) and values else values
        if isinstance(first, str) and len(first) <= MOST_NAME_CHARACTERS:
            found[str(name).lower()] = first
    return found
