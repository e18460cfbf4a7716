"""Joined halves as one inference: what passed is read as the sidecar reads it, or as KServe's v1 protocol."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from inferwatch.events import InferenceEvent, Message, text_message
from ingest.collector.cloudevents.half import Half
from ingest.collector.cloudevents.join import Pair
from ingest.collector.made_ids import made_id
from ingest.errors import ContentError
from ingest.sidecar.exchange import Capture, Exchange, Kind, Route
from ingest.sidecar.infer_fields import Answer, infer_fields
from ingest.sidecar.parse import Defaults, parse, without_content
from ingest.sidecar.tensors import Tensor, from_values

log: Final = logging.getLogger("inferwatch.collector")

RESPONSE_MISSING: Final = "response_missing"
_HEADER_LENGTH: Final = "inference-header-content-length"
_MOST_HEADER_BYTES: Final = 1 << 20
_REQUESTS: Final[dict[str, Kind]] = {
    "messages": "chat",
    "prompt": "completion",
    "inputs": "infer",
    "text_input": "generate",
}
_RESPONSES: Final[dict[str, Kind]] = {"choices": "chat", "outputs": "infer", "text_output": "generate"}
_STREAM_STARTS: Final = (b"data:", b"event:", b":")
_GZIP: Final = b"\x1f\x8b"


def inference(pair: Pair, environment: str) -> InferenceEvent:
    """Return the event of a request and its response, or of the one that came.

    Its id is made of what both share and of when the first of them was sent: written twice, it is the same event.
    """
    halves = [half for half in (pair.request, pair.response) if half is not None]
    first, last = halves[0], halves[-1]
    exchange = _exchange(pair, first, last)
    defaults = Defaults(first.environment or environment, first.service, first.team)
    try:
        event = _v1(pair, exchange, defaults) or parse(exchange, defaults)
    except ContentError:
        event = without_content(exchange, defaults)
    except Exception:
        # What somebody's model said must not stop the joiner, whatever the parsers make of it.
        log.exception("An inference could not be read")
        event = without_content(exchange, defaults)
    return _completed(event, pair, first)


def _completed(event: InferenceEvent, pair: Pair, first: Half) -> InferenceEvent:
    attributes = {
        f"kserve.{name}": value for name in ("namespace", "endpoint", "component") if (value := getattr(first, name))
    }
    changes: dict[str, Any] = {
        "source": "cloudevents",
        "provider": "kserve",
        "request_model": event.request_model or first.service or "unknown",
        # Pieces of a stream came together, so nobody knows when the first one did.
        "time_to_first_token": None,
        "attributes": attributes,
    }
    if first.team:
        changes["team"] = first.team
    if first.environment:
        changes["environment"] = first.environment
    if pair.response is None:
        changes |= {"status": "error", "error_type": RESPONSE_MISSING, "error_message": None}
    if pair.request is None:
        changes |= {"content_unavailable": True, "attributes": {**attributes, "kserve.missing": "request"}}
    return msgspec.structs.replace(event, **changes)


def bare(event: InferenceEvent) -> InferenceEvent:
    """Return an event without what could make it unreadable or too large."""
    return InferenceEvent(
        event_id=event.event_id,
        started_at=event.started_at,
        duration=event.duration,
        source="cloudevents",
        provider="kserve",
        service=event.service,
        environment=event.environment,
        team=event.team,
        request_model=event.service or "unknown",
        status=event.status,
        error_type=event.error_type,
        content_unavailable=True,
    )


def _exchange(pair: Pair, first: Half, last: Half) -> Exchange:
    exchange = Exchange(
        event_id=made_id(first.at, pair.key),
        route=Route(_kind(pair), first.service),
        headers=first.headers,
        started_at=first.at,
        started=0.0,
        request=_capture(pair.request, 0.0),
        response=_capture(pair.response, max(0.0, last.at - first.at)),
        code="200" if pair.response is not None else "",
        ended=max(0.0, last.at - first.at),
    )
    if pair.request is not None:
        exchange.headers = {**first.headers, **_framing(pair.request.body, first.headers)}
    if pair.response is not None:
        exchange.response_headers = _framing(pair.response.body, {})
    return exchange


def _capture(half: Half | None, at: float) -> Capture:
    """Return a body as the sidecar would have captured it; one that never came is known to be missing."""
    capture = Capture(max(1, len(half.body)) if half is not None else 0)
    capture.add(at, half.body if half is not None else b"?")
    return capture


def _kind(pair: Pair) -> Kind:
    """Tell the protocol from the fields that its messages have."""
    for half, kinds in ((pair.request, _REQUESTS), (pair.response, _RESPONSES)):
        if half is None:
            continue
        for field, kind in kinds.items():
            if field in _object(half.body):
                return kind
    return "chat"


def _framing(body: bytes, given: Mapping[str, str]) -> dict[str, str]:
    """Return headers that say what a body is. KServe gives the response's half the content type of the request."""
    if body.startswith(_GZIP):
        return {"content-encoding": "gzip"}
    if body.startswith(_STREAM_STARTS):
        return {"content-type": "text/event-stream"}
    _, length = _leading_object(body)
    return {_HEADER_LENGTH: str(length)} if 0 < length < len(body) and _HEADER_LENGTH not in given else {}


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is or begins with, or that the first piece of a stream is."""
    if body.startswith(_STREAM_STARTS):
        body = body.partition(b"data:")[2].partition(b"\n")[0]
    return _leading_object(body)[0]


def _leading_object(body: bytes) -> tuple[dict[str, Any], int]:
    """Return the JSON object with which a body begins, and how many bytes it has; an empty one and 0 for none.

    In KServe's v2 protocol binary tensors follow it, and the header that says where is not passed on.
    """
    try:
        whole = msgspec.json.decode(body)
        return (whole, len(body)) if isinstance(whole, dict) else ({}, 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # In Latin-1 a character is a byte.
        found, length = json.JSONDecoder().raw_decode(body[:_MOST_HEADER_BYTES].decode("latin-1"))
    except (ValueError, RecursionError):
        return {}, 0
    return (found, length) if isinstance(found, dict) else ({}, 0)


def _v1(pair: Pair, exchange: Exchange, defaults: Defaults) -> InferenceEvent | None:
    """Read KServe's v1 protocol, `instances` in and `predictions` out; None for any other."""
    asked = _object(pair.request.body) if pair.request is not None else {}
    answered = _object(pair.response.body) if pair.response is not None else {}
    if "instances" not in asked and "predictions" not in answered:
        return None
    given, inputs = _values("instances", asked.get("instances"), "user")
    made, outputs = _values("predictions", answered.get("predictions"), "assistant")
    fields = infer_fields(inputs, {}, [Answer(0.0, outputs)], streamed=False, whole=True)
    return msgspec.structs.replace(
        without_content(exchange, defaults),
        operation="infer",
        input_messages=given,
        output_messages=made,
        input_tensors=fields["input_tensors"],
        output_tensors=fields["output_tensors"],
        content_unavailable=pair.request is None,
    )


def _values(name: str, values: Any, role: str) -> tuple[tuple[Message, ...], tuple[Tensor, ...]]:
    """Return numbers as a tensor, texts and objects as messages."""
    items = values if isinstance(values, list) else [] if values is None else [values]
    shape, leaf = _shape(items)
    try:
        # numpy would take texts of digits for numbers.
        numbers = None if isinstance(leaf, str) else from_values(name, "FP64", shape, items)
    except ContentError:
        numbers = None
    if numbers is None:
        texts = (item if isinstance(item, str) else msgspec.json.encode(item).decode() for item in items)
        return tuple(text_message(role, text) for text in texts), ()
    return (), (numbers,) if items else ()


def _shape(items: Any) -> tuple[list[int], Any]:
    """Return the shape of nested lists as far as their first elements tell, and the first value in them."""
    shape = []
    while isinstance(items, list):
        shape.append(len(items))
        items = items[0] if items else None
    return shape, items
