"""Follows both directions of one HTTP connection and tells the tap what passes; decides nothing about the bytes."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from inferwatch.clock import Clock
from ingest.sidecar.framing import BodyPart, End, Framer, Item, Opaque, StartLine
from ingest.sidecar.header_strip import HeadFilter
from ingest.sidecar.http_head import BodyRule, Head, request_body, response_body
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import HttpObserver, Outcome, Tap

log: Final = logging.getLogger("inferwatch.sidecar")

_STATUS: Final = re.compile("[0-9]{3}")
_MOST_PIPELINED: Final = 64
"""Requests of one connection that may wait for their responses; clients of that protocol hardly ever send two."""


@dataclass(slots=True)
class _Pending:
    """A request whose response is not complete."""

    observer: HttpObserver | None
    answered: bool = False


class HttpWatch:
    """A `Watch` of HTTP/1: pairs requests with responses, which come in the same order (RFC 9112, section 9.3.2).

    Never raises: after an error of its own, or bytes that are not HTTP, it lets everything pass unobserved.
    """

    def __init__(self, tap: Tap, clock: Clock, counters: Counters, *, strip: bool = False) -> None:
        self._tap = tap
        self._clock = clock
        self._counters = counters
        self._requests = Framer(request_body)
        self._responses = Framer(self._response_body)
        self._pending: deque[_Pending] = deque()
        self._methods: deque[str] = deque()
        self._arriving: HttpObserver | None = None
        self._began = 0.0
        self._opaque = False
        self._refused = False
        self._ending: tuple[float, Outcome] | None = None
        self._filter = HeadFilter() if strip else None

    @property
    def busy(self) -> bool:
        """Whether a request or its response is under way."""
        return self._opaque or bool(self._pending) or not self._requests.between_messages

    @property
    def unanswered(self) -> bool:
        """Whether the client waits for a response of which nothing has come yet."""
        return bool(self._pending) and not self._pending[0].answered and self._responses.between_messages

    @property
    def uploading(self) -> bool:
        """Whether a request has begun to arrive and is not complete."""
        return not self._requests.between_messages

    @property
    def crowded(self) -> bool:
        """Whether a client that does not wait for responses has sent more requests than are kept apart."""
        return len(self._pending) >= _MOST_PIPELINED

    @property
    def broken(self) -> bool:
        """Never: heads that cannot be read pass as they are."""
        return False

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the closing of the connection tells the client that the response is complete."""
        return self._responses.ends_with_connection

    def request(self, data: bytes) -> list[bytes]:
        """See bytes from the client; return what upstream gets."""
        if self._refused and self._arriving is None:
            return []
        if self._opaque:
            return [*self._held_heads(), data]
        items: list[Item] = []
        try:
            if self._requests.between_messages:
                self._began = self._clock.elapsed()
            items = self._requests.feed(data)
            for item in items:
                self._request_item(item, data)
        except Exception:
            self._fail()
        if self._refused:
            return []
        if self._filter is None:
            return [data]
        return [*self._filter.pass_on(data, items), *(self._held_heads() if self._opaque else ())]

    def response(self, data: bytes) -> list[bytes]:
        """See bytes from upstream; return what the client gets: the same, with headers added where a tap wants it."""
        if self._opaque:
            return [data]
        pieces: list[bytes] = []
        done = 0
        try:
            at = self._clock.elapsed()
            for item in self._responses.feed(data):
                if isinstance(item, StartLine):
                    added = self._added(item)
                    if added:
                        pieces += (data[done : item.end], added)
                        done = item.end
                else:
                    self._response_item(item, data, at)
        except Exception:
            self._fail()
        pieces.append(data[done:] if done else data)
        return pieces

    def client_gone(self) -> None:
        """See that the client left."""
        if self._pending:
            self._counters.add("inferwatch_sidecar_client_gone_total")
        self._end_all("client_gone")

    def upstream_gone(self, *, cut: bool = False) -> None:
        """See that upstream closed the connection, which completes a response without a length if it was not `cut`."""
        try:
            if not cut and self._responses.close() and self._pending:
                self._end_first("complete", self._clock.elapsed())
        except Exception:
            self._fail()
        if self._pending:
            self._counters.add("inferwatch_sidecar_upstream_errors_total")
        self._end_all("upstream_gone")

    def refuse(self, reason: str) -> list[bytes]:
        """Return 502 with the reason, once: the connection ends with it.

        A request that is still arriving is followed to its end, for what it says of itself.
        """
        if self._refused:
            return []
        self._refused = True
        body = json.dumps({"error": reason}).encode()
        head = (
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        sent = self.response(head.encode() + body)
        self._counters.add("inferwatch_sidecar_upstream_errors_total")
        self._end_pending("upstream_gone")
        return sent

    def farewell(self) -> bytes:
        """Return nothing: HTTP/1 has no word for it."""
        return b""

    def _response_body(self, head: Head) -> BodyRule:
        # Asked while the responses before this one, in the same bytes, are still to be told.
        method = self._methods[0] if self._methods else "GET"
        if self._methods and not _is_interim(head):
            self._methods.popleft()
        return response_body(head, method)

    def _added(self, line: StartLine) -> bytes:
        final = line.text.startswith(b"HTTP/1.") and line.text[9:10] != b"1"
        if not final or not self._pending or self._pending[0].observer is None:
            return b""
        return self._pending[0].observer.added_headers

    def _request_item(self, item: Item, data: bytes) -> None:
        match item:
            case Head() if not self._refused:
                self._counters.add("inferwatch_sidecar_http_requests_total")
                self._arriving = self._tap.http(self._began, item)
                self._pending.append(_Pending(self._arriving))
                self._methods.append(item.start[0])
            case BodyPart():
                if self._arriving is not None:
                    self._arriving.request_part(memoryview(data)[item.start : item.end])
            case End():
                if self._ending is not None:
                    self._end_refused()
                self._arriving = None
                self._began = self._clock.elapsed()
            case Opaque():
                self._become_opaque()

    def _response_item(self, item: Item, data: bytes, at: float) -> None:
        pending = self._pending[0] if self._pending else None
        match item:
            case Head():
                if pending is not None and not _is_interim(item):
                    pending.answered = True
                    if pending.observer is not None:
                        status = int(item.start[1]) if _STATUS.fullmatch(item.start[1]) else 0
                        pending.observer.response_head(status, item)
            case BodyPart():
                if pending is not None and pending.observer is not None:
                    pending.observer.response_part(at, memoryview(data)[item.start : item.end])
            case End():
                if pending is not None and pending.answered:
                    self._end_first("complete", at)
            case Opaque():
                self._become_opaque()

    def _end_first(self, outcome: Outcome, at: float) -> None:
        observer = self._pending.popleft().observer
        if observer is None:
            return
        if observer is self._arriving:
            if self._refused:
                self._ending = (at, outcome)
                return
            self._arriving = None
        observer.end(at, outcome)

    def _end_all(self, outcome: Outcome) -> None:
        self._end_pending(outcome)
        try:
            self._end_refused()
        except Exception:
            self._fail()

    def _end_pending(self, outcome: Outcome) -> None:
        try:
            while self._pending:
                self._end_first(outcome, self._clock.elapsed())
        except Exception:
            self._fail()

    def _end_refused(self) -> None:
        """End the request that was refused while it was arriving."""
        observer, ending = self._arriving, self._ending
        if observer is not None and ending is not None:
            self._arriving = self._ending = None
            observer.end(*ending)

    def _held_heads(self) -> list[bytes]:
        return [] if self._filter is None else self._filter.release()

    def _become_opaque(self) -> None:
        self._opaque = True
        self._counters.add("inferwatch_sidecar_unreadable_connections_total")
        self._end_all("unreadable")

    def _fail(self) -> None:
        log.exception("A connection passes unobserved from here on")
        self._counters.add("inferwatch_sidecar_observer_errors_total")
        self._opaque = True
        dropped = [pending.observer for pending in self._pending]
        if self._ending is not None:
            dropped.append(self._arriving)
        self._pending.clear()
        self._arriving = self._ending = None
        for observer in dropped:
            if observer is not None:
                # They give back what they hold; one that cannot do that either has been told of.
                with contextlib.suppress(Exception):
                    observer.end(self._clock.elapsed(), "unreadable")


def _is_interim(head: Head) -> bool:
    """Whether a response only precedes the one that answers (RFC 9110, section 15.2)."""
    return head.start[1].startswith("1")
