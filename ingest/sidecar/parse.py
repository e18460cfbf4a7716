"""From an exchange to its event: a pure function, run away from the traffic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from inferwatch.errors import EventError
from inferwatch.events import InferenceEvent, Message
from inferwatch.traceparent import trace_fields
from inferwatch.truncation import shorten, without_torn_end
from inferwatch.wire import decode_inference, encode_event
from ingest.errors import ContentError
from ingest.sidecar.content import join, response_pieces
from ingest.sidecar.exchange import Exchange, Kind
from ingest.sidecar.headers import EVENT_HEADERS, TRACE, text_of
from ingest.sidecar.parse_generate import parse_generate
from ingest.sidecar.parse_grpc import parse_grpc
from ingest.sidecar.parse_infer import parse_infer
from ingest.sidecar.parse_openai import error_of, parse_openai

_PARSERS: Final[dict[Kind, Callable[[Exchange], dict[str, Any]]]] = {
    "infer": parse_infer,
    "generate": parse_generate,
    "chat": parse_openai,
    "completion": parse_openai,
    "embedding": parse_openai,
    "model_infer": parse_grpc,
    "model_stream_infer": parse_grpc,
}
_MESSAGE_CHARACTERS: Final = 1_000

UNKNOWN_MODEL: Final = "unknown"
"""Stands for the model of an inference that never said which: an event without one is not taken."""

TIME_TO_FIRST_BYTE: Final = "inferwatch.response.time_to_first_byte"
"""Attribute: seconds from the first byte of the request to the first of the response's body or first message."""
CHUNKS: Final = "inferwatch.response.chunks"
"""Attribute of streamed responses: in how many pieces the network, or gRPC, brought them."""
LONGEST_GAP: Final = "inferwatch.response.longest_gap"
"""Attribute of streamed responses: the longest time in seconds between two pieces."""
CUT: Final = "inferwatch.capture.cut"
"""Attribute: which of `request` and `response` were longer than what is kept of them."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an event says where its request does not."""

    environment: str = "default"
    service: str = ""
    team: str = ""


def parse(exchange: Exchange, defaults: Defaults) -> InferenceEvent:
    """Return the event of an exchange.

    Raises:
        ContentError: what passed is not what its route promises; `without_content` still makes an event of it.
    """
    fields = _PARSERS[exchange.route.kind](exchange)
    known = {name: value for name, value in fields.items() if value is not None}
    if not exchange.response.whole and "output_messages" in known:
        known["output_messages"] = tuple(map(_without_torn_ends, known["output_messages"]))
    return _event(exchange, defaults, known)


def without_content(exchange: Exchange, defaults: Defaults) -> InferenceEvent:
    """Return an event of what is known about an exchange without looking into its bodies."""
    return _event(exchange, defaults, {"content_unavailable": True})


def _without_torn_ends(message: Message) -> Message:
    """Return a message without what may be half of a value, in text joined from a stream that is not all there."""
    parts = []
    for part in message.parts:
        changed = {
            name: without_torn_end(value, len(value))
            for name in ("content", "arguments")
            if isinstance(value := getattr(part, name), str) and value
        }
        parts.append(msgspec.structs.replace(part, **changed))
    return msgspec.structs.replace(message, parts=tuple(parts))


def _event(exchange: Exchange, defaults: Defaults, fields: dict[str, Any]) -> InferenceEvent:
    route = exchange.route
    everything = {
        "environment": defaults.environment,
        "service": defaults.service,
        "team": defaults.team,
        "request_model": route.model,
        "model_version": route.version,
        "stream": route.streamed,
        **_outcome(exchange),
        **fields,
        **{field: text_of(value) for field, name in EVENT_HEADERS.items() if (value := exchange.headers.get(name))},
        **trace_fields(exchange.headers.get(TRACE)),
    }
    # Nothing tells it where the client left, or was refused, before that part of its request came.
    everything["request_model"] = everything["request_model"] or UNKNOWN_MODEL
    everything["attributes"] = _passage(exchange, streamed=bool(everything["stream"]))
    event = InferenceEvent(
        event_id=exchange.event_id,
        started_at=exchange.started_at,
        duration=max(0.0, exchange.ended - exchange.started),
        source="sidecar-grpc" if route.kind.startswith("model_") else "sidecar-http",
        **everything,
    )
    # Values come out of somebody's JSON: a field of another type must not reach the wire.
    try:
        return decode_inference(encode_event(event))
    except EventError as error:
        raise ContentError("event", error.reason) from error
    except RecursionError as error:
        raise ContentError("event", "nested too deeply") from error


def _passage(exchange: Exchange, *, streamed: bool) -> dict[str, str]:
    """Return how the response came, times in seconds, and what of the exchange is not here."""
    response = exchange.response
    told: dict[str, str] = {}
    if response.first is not None:
        told[TIME_TO_FIRST_BYTE] = f"{response.first - exchange.started:.6f}"
        if streamed:
            told |= {CHUNKS: str(response.pieces), LONGEST_GAP: f"{response.longest_gap:.6f}"}
    cut = [name for name in ("request", "response") if not getattr(exchange, name).whole]
    return {**told, CUT: ",".join(cut)} if cut else told


def _outcome(exchange: Exchange) -> dict[str, Any]:
    code = exchange.code
    if code and code != "OK" and not code.startswith("2"):
        cancelled = exchange.outcome == "client_gone"
        message = exchange.details or _error_message(exchange)
        return {
            "status": "cancelled" if cancelled else "error",
            "error_type": code,
            "error_message": shorten(message, _MESSAGE_CHARACTERS) or None,
        }
    if exchange.outcome == "client_gone":
        return {"status": "cancelled", "error_type": "client_gone"}
    if exchange.outcome == "upstream_gone":
        message = "the connection to the server ended before the response did"
        return {"status": "error", "error_type": "upstream_gone", "error_message": message}
    if exchange.outcome == "unreadable" and not code:
        return {"status": "error", "error_type": "unreadable", "error_message": "the response could not be followed"}
    return {}


def _error_message(exchange: Exchange) -> str:
    """Return the message in a response of an error status."""
    try:
        body = join(response_pieces(exchange)) or b""
    except ContentError:
        return ""
    try:
        return _message_in(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace")
        return text if exchange.response.whole else without_torn_end(text, min(len(text), _MESSAGE_CHARACTERS))
    except RecursionError:
        # Reading it, or writing out what it nests, goes deeper than Python does.
        return ""


def _message_in(decoded: object) -> str:
    if not isinstance(decoded, dict):
        return ""
    if not decoded.get("error"):
        return str(decoded.get("message") or decoded.get("detail") or "")
    return error_of(decoded["error"])[1]
