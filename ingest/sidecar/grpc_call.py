"""One call of gRPC as its frames tell it: what goes to its observer, and how it ended."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import Final
from urllib.parse import unquote

from inferwatch.clock import Clock
from ingest.sidecar.budget import Keeping
from ingest.sidecar.grpc_messages import ALWAYS_KEPT_BYTES, GrpcMessage, MessageSplitter
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import GrpcObserver, Outcome, Tap

log: Final = logging.getLogger("inferwatch.sidecar")

CODES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
"""Names of gRPC's status codes by number."""
_BY_NUMBER: Final = {str(number): name for number, name in enumerate(CODES)}

_OK: Final = "200"
_OF_HTTP: Final = {
    "400": "INTERNAL",
    "401": "UNAUTHENTICATED",
    "403": "PERMISSION_DENIED",
    "404": "UNIMPLEMENTED",
    "429": "UNAVAILABLE",
    "502": "UNAVAILABLE",
    "503": "UNAVAILABLE",
    "504": "UNAVAILABLE",
}
"""What a client makes of an HTTP status without a gRPC status ("HTTP to gRPC Status Code Mapping")."""

_OF_RESET: Final = {0x7: "UNAVAILABLE", 0x8: "CANCELLED", 0xB: "RESOURCE_EXHAUSTED", 0xC: "PERMISSION_DENIED"}
"""What a client makes of a stream that the server resets ("Errors" of gRPC over HTTP/2); anything else is INTERNAL."""

_CANCEL: Final = 0x8
_ROUNDED: Final = 0.99
"""Clients round the time-out that they tell up, by at most 1 %."""
_UNDERWAY_SECONDS: Final = 0.01
"""How much later a call may be seen to begin than its client began to count, and seen to end sooner."""
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class GrpcCall:
    """A call that is under way. An observer that fails is dropped and counted; the call does not notice."""

    __slots__ = ("_began", "_clock", "_counters", "_made", "_observer", "_sent", "_status", "_timeout")

    def __init__(self, tap: Tap, clock: Clock, counters: Counters, headers: Headers, keeping: Keeping) -> None:
        self._clock = clock
        self._counters = counters
        most = max(keeping.most, ALWAYS_KEPT_BYTES)
        self._sent = MessageSplitter(most, keeping.budget)
        self._made = MessageSplitter(most, keeping.budget)
        self._began = clock.elapsed()
        self._status = ""
        self._observer: GrpcObserver | None = None
        self._timeout: float | None = None
        try:
            method = next((value for name, value in headers if name == ":path"), "")
            metadata = tuple([header for header in headers if not header[0].startswith(":")])
            self._observer = tap.grpc(self._began, method, metadata)
            if self._observer is not None:
                self._timeout = _timeout(dict(metadata).get("grpc-timeout", ""))
        except Exception:
            self._failed()

    def request_data(self, data: memoryview) -> None:
        """See content from the client."""
        if self._observer is not None:
            for message in self._sent.feed(data):
                self._tell_request(message)

    def response_headers(self, headers: Headers) -> Headers:
        """See a block of headers, the trailers too; return headers to add to it."""
        if self._observer is None or self._status:
            return ()
        self._status = next((value for name, value in headers if name == ":status"), "") or _OK
        try:
            self._observer.response_head(headers)
            return self._observer.added_metadata
        except Exception:
            self._failed()
            return ()

    def response_data(self, data: memoryview) -> None:
        """See content from upstream."""
        if self._observer is not None:
            for message in self._made.feed(data):
                self._tell_response(message)

    def end_with(self, trailers: Headers) -> None:
        """End with the headers that end the stream."""
        told = dict(trailers)
        number = told.get("grpc-status", "")
        details = unquote(told.get("grpc-message", ""))
        if number.isascii() and number.isdigit():
            self._end("complete", _BY_NUMBER.get(number, "UNKNOWN"), details)
            return
        status = self._status or _OK
        if status == _OK:
            self._end("complete", "UNKNOWN", "the server ended the stream without a status")
        else:
            self._end("complete", _OF_HTTP.get(status, "UNKNOWN"), f"the server answered with HTTP status {status}")

    def reset(self, code: int) -> None:
        """End as a stream that upstream reset with an error code of HTTP/2."""
        if code == _CANCEL and self._timed_out():
            self._end_timed_out()
            return
        self._end("complete", _OF_RESET.get(code, "INTERNAL"), f"the server reset the stream with error code {code}")

    def client_gone(self) -> None:
        """End as the client left, which it does by itself where its deadline has passed."""
        if self._timed_out():
            self._end_timed_out()
        else:
            self._end("client_gone", "CANCELLED", "")

    def upstream_gone(self) -> None:
        """End as upstream's connection ended."""
        self._end("upstream_gone", "UNAVAILABLE", "the connection to the server ended before the response did")

    def unprocessed(self) -> None:
        """End as one that upstream did not begin."""
        self._end("unprocessed", "", "")

    def unreadable(self) -> None:
        """End as the connection's bytes could not be followed any more."""
        self._end("unreadable", "", "")

    def _timed_out(self) -> bool:
        if self._timeout is None:
            return False
        return self._clock.elapsed() - self._began >= self._timeout * _ROUNDED - _UNDERWAY_SECONDS

    def _end_timed_out(self) -> None:
        self._end("complete", "DEADLINE_EXCEEDED", "the client's deadline passed")

    def _end(self, outcome: Outcome, code: str, details: str) -> None:
        if self._observer is None:
            return
        for rest, tell in ((self._sent.rest(), self._tell_request), (self._made.rest(), self._tell_response)):
            if rest is not None:
                tell(rest)
        observer, self._observer = self._observer, None
        if observer is not None:
            try:
                observer.end(self._clock.elapsed(), outcome, code, details)
            except Exception:
                self._failed()

    def _tell_request(self, message: GrpcMessage) -> None:
        if self._observer is not None:
            try:
                self._observer.request(self._clock.elapsed(), message)
            except Exception:
                self._failed()

    def _tell_response(self, message: GrpcMessage) -> None:
        if self._observer is not None:
            try:
                self._observer.response(self._clock.elapsed(), message)
            except Exception:
                self._failed()

    def _failed(self) -> None:
        log.exception("A call passes unobserved from here on")
        self._counters.add("inferwatch_sidecar_observer_errors_total")
        observer, self._observer = self._observer, None
        for splitter in (self._sent, self._made):
            splitter.rest()  # gives back what it took
        if observer is not None:
            # So does this; one that cannot do that either has been told of.
            with contextlib.suppress(Exception):
                observer.end(self._clock.elapsed(), "unreadable", "", "")


def _timeout(header: str) -> float | None:
    found = _TIMEOUT.fullmatch(header)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]
