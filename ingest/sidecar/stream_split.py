"""Takes a bidirectional gRPC stream apart into its requests, each with the responses that answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ingest.errors import ContentError
from ingest.sidecar.exchange import Exchange
from ingest.sidecar.grpc_messages import GrpcMessage, plain
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.headers import GRPC_CODING
from ingest.sidecar.protobuf import fields
from ingest.sidecar.tap import Outcome

MAX_OPEN: Final = 1_024
"""Requests of one stream that may wait for their end before the oldest is ended as it is."""

_LOOKED_AT_BYTES: Final = 16 << 10
"""How far into a compressed message to look for its id, which stands before its tensors."""
_REQUEST_ID: Final = 3
_ERROR_MESSAGE: Final = 1
_INFER_RESPONSE: Final = 2
_RESPONSE_ID: Final = 3
_RESPONSE_PARAMETERS: Final = 4
_FINAL: Final = b"triton_final_response"


@dataclass(slots=True)
class _Open:
    """A request of the stream that is not answered in full."""

    request_id: bytes
    exchange: Exchange


class StreamRecorder:
    """Records each request of a stream as an exchange of its own.

    A request ends with an error, with the response that Triton marks as final, or with one that carries no such mark.
    Of responses that are not all here the beginning says whose they are; where it does not, they are of the oldest one.
    Models that send many responses may leave the mark to an empty response that is sent only on demand: their requests
    end when the next one of the same id comes, `idle` seconds after their last response, or with the stream, and
    are as long as their last response shows.
    """

    def __init__(
        self,
        event_id: str,
        begin: Callable[[float, str | None], Exchange],
        ended: Callable[[Exchange], None],
        closed: Callable[[StreamRecorder], None],
        idle: float,
    ) -> None:
        self.added_metadata: Headers = ()
        self._coding = ""
        self._event_id: str | None = event_id
        self._begin = begin
        self._ended = ended
        self._closed = closed
        self._idle = idle
        self._open: list[_Open] = []

    def request(self, at: float, message: GrpcMessage) -> None:
        """Begin an exchange."""
        exchange = self._begin(at, self._event_id)
        self._event_id = None
        coding = exchange.headers.get(GRPC_CODING, "")
        request_id = _text(_beginning(message, coding)[0], _REQUEST_ID)
        for known in [known for known in self._open if known.request_id == request_id]:
            if known.exchange.response.last is not None:
                self._end(known, known.exchange.response.last)
        if len(self._open) >= MAX_OPEN:
            self._end(self._open[0], at)
        exchange.request.add_message(at, message, coding)
        self._open.append(_Open(request_id, exchange))

    def response_head(self, headers: Headers) -> None:
        """See how responses are compressed."""
        self._coding = dict(headers).get(GRPC_CODING, "")

    def response(self, at: float, message: GrpcMessage) -> None:
        """Add a response to the exchange that it answers."""
        beginning, whole = _beginning(message, self._coding)
        response_id, final, failed = read_response(beginning)
        known = self._answered(response_id, or_oldest=not response_id and (failed or not whole))
        if known is None:
            return
        known.exchange.response.add_message(at, message, self._coding)
        if failed or final or (final is None and whole):
            self._end(known, at)

    def expire(self, now: float) -> None:
        """End what got a response, but none for `idle` seconds."""
        for known in list(self._open):
            last = known.exchange.response.last
            if last is not None and now - last > self._idle:
                self._end(known, last)

    def end(self, at: float, outcome: Outcome, code: str, details: str) -> None:
        """End what is open as the stream ended."""
        self._closed(self)
        for known in list(self._open):
            last = known.exchange.response.last
            whole = outcome == "complete" and code == "OK"
            self._end(known, last if whole and last is not None else at, outcome, code, details)

    def _answered(self, response_id: bytes, *, or_oldest: bool) -> _Open | None:
        for known in self._open:
            if known.request_id == response_id:
                return known
        return self._open[0] if or_oldest and self._open else None

    def _end(self, known: _Open, at: float, outcome: Outcome = "complete", code: str = "OK", details: str = "") -> None:
        self._open.remove(known)
        exchange = known.exchange
        exchange.ended, exchange.outcome, exchange.code, exchange.details = at, outcome, code, details
        self._ended(exchange)


def _beginning(message: GrpcMessage, coding: str) -> tuple[bytes, bool]:
    """Return the beginning of a message, and whether that is all of it."""
    if not message.compressed:
        return message.data, message.whole
    try:
        found = plain(message.data, coding, _LOOKED_AT_BYTES)
    except ContentError:
        return b"", False
    return found, message.whole and len(found) < _LOOKED_AT_BYTES


def read_response(message: bytes) -> tuple[bytes, bool | None, bool]:
    """Return a `ModelStreamInferResponse`'s request id, whether it is final (None: not said) and an error.

    It may be cut; what is read here stands before its tensors.
    """
    response_id, final, failed = b"", None, False
    for number, start, end in fields(message, cut=True):
        if number == _ERROR_MESSAGE:
            failed = end > start
        elif number == _INFER_RESPONSE:
            for inner, inner_start, inner_end in fields(message, start, end):
                if inner == _RESPONSE_ID:
                    response_id = message[inner_start:inner_end]
                elif inner == _RESPONSE_PARAMETERS and message.find(_FINAL, inner_start, inner_end) >= 0:
                    final = _is_true(message, inner_start, inner_end)
    return response_id, final, failed


def _is_true(message: bytes, start: int, end: int) -> bool:
    """Read a map entry whose value is a message with a boolean as field 1."""
    for number, value_start, value_end in fields(message, start, end):
        if number == 2:
            for inner, at, _ in fields(message, value_start, value_end):
                if inner == 1:
                    return message[at] != 0
    return False


def _text(message: bytes, wanted: int) -> bytes:
    for number, start, end in fields(message):
        if number == wanted:
            return message[start:end]
    return b""
