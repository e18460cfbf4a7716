"""Captured bodies as what they hold: content codings undone, JSON decoded, server-sent events told apart."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ingest.errors import ContentError
from ingest.sidecar.exchange import Capture, Exchange
from ingest.sidecar.headers import HTTP_CODING, HTTP_TYPE

Pieces = list[tuple[float, bytes]]

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


def request_pieces(exchange: Exchange) -> Pieces | None:
    """Return the request's body in pieces with their times, without content coding; None where that is unknown."""
    return _decoded(exchange.request, exchange.headers)


def response_pieces(exchange: Exchange) -> Pieces | None:
    """Return the response's body as `request_pieces` does."""
    return _decoded(exchange.response, exchange.response_headers)


def join(pieces: Pieces | None) -> bytes | None:
    """Return pieces as one."""
    return None if pieces is None else b"".join(data for _, data in pieces)


def json_object(body: bytes | None, whole: bool, where: str) -> dict[str, Any] | None:
    """Return a JSON object, None where it is not all there.

    Raises:
        ContentError: it is `whole`, and not a JSON object.
    """
    if body is None:
        return None
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not whole:
            return None
        raise ContentError(where, "not JSON") from error
    except RecursionError as error:
        if not whole:
            return None
        raise ContentError(where, "nested too deeply") from error
    if not isinstance(decoded, dict):
        raise ContentError(where, "not a JSON object")
    return decoded


def request_is_whole(exchange: Exchange) -> bool:
    """Whether the request was captured in full and is known to have been understood by the server."""
    return exchange.request.whole and exchange.outcome == "complete" and exchange.code.startswith("2")


def response_is_whole(exchange: Exchange) -> bool:
    """Whether the response was captured in full."""
    return exchange.response.whole and exchange.outcome == "complete" and exchange.code.startswith("2")


def is_event_stream(exchange: Exchange) -> bool:
    """Whether the response is made of server-sent events."""
    return exchange.response_headers.get(HTTP_TYPE, "").startswith("text/event-stream")


def server_sent_events(pieces: Pieces) -> Iterator[tuple[float, str]]:
    """Yield the data of each event with the time at which its end arrived (WHATWG HTML, section 9.2).

    An event without its final blank line is yielded too where a line of it is complete: senders may close after it.
    """
    held = b""
    lines: list[str] = []
    at = 0.0
    for at, data in pieces:
        *complete, held = (held + data).split(b"\n")
        for line in complete:
            text = line.rstrip(b"\r").decode("utf-8", "replace")
            if text.startswith("data:"):
                lines.append(text[5:].removeprefix(" "))
            elif not text and lines:
                yield at, "\n".join(lines)
                lines = []
    if lines:
        yield at, "\n".join(lines)


def _decoded(capture: Capture, headers: Mapping[str, str]) -> Pieces | None:
    coding = headers.get(HTTP_CODING, "identity").lower()
    if coding == "identity":
        return capture.parts
    if coding not in ("gzip", "x-gzip", "deflate"):
        return None
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    pieces: Pieces = []
    room = capture.most_plain
    try:
        for at, data in capture.parts:
            plain = decoder.decompress(data, room)
            room -= len(plain)
            pieces.append((at, plain))
            if room <= 0:
                return None
    except zlib.error as error:
        raise ContentError("content coding", f"not {coding}") from error
    return pieces
