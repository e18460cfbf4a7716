"""Follows the calls of one gRPC connection: which streams carry inferences, what they say, how they end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from inferwatch.clock import Clock
from ingest.errors import ContentError
from ingest.sidecar.budget import Keeping
from ingest.sidecar.grpc_call import GrpcCall
from ingest.sidecar.grpc_refusal import goaway, greeting, unavailable
from ingest.sidecar.h2_frames import PREFACE, Block, NotHttp2, header_frames
from ingest.sidecar.h2_headers import Headers, literals, table_updates
from ingest.sidecar.h2_side import Side
from ingest.sidecar.header_strip import without_ours
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import Tap

log: Final = logging.getLogger("inferwatch.sidecar")

_EVERY_STREAM: Final = 2**31 - 1


class GrpcWatch:
    """A `Watch` of HTTP/2; after an error of its own it lets everything pass unobserved.

    Frames pass as they are. A header is added to a response by putting it, not indexed, behind the block that upstream
    encoded; where headers are stripped, every block of requests is encoded anew, also without a table.
    """

    ends_with_connection = False
    crowded = False  # HTTP/2 has limits of its own, which both sides tell each other

    def __init__(self, tap: Tap, clock: Clock, counters: Counters, keeping: Keeping, *, strip: bool = False) -> None:
        self._tap = tap
        self._clock = clock
        self._counters = counters
        self._keeping = keeping
        self._strip = strip
        self._calls: dict[int, GrpcCall] = {}
        self._from_client = Side(self._request_headers, self._request_data, self._request_reset, PREFACE)
        self._from_upstream = Side(
            self._response_headers, self._response_data, self._response_reset, on_goaway=self._upstream_leaves
        )
        self._from_client.receives_tables_of(self._from_upstream)
        self._from_upstream.receives_tables_of(self._from_client)
        self._opaque = False
        self._served = False
        self._last_stream = 0
        self._last_taken = _EVERY_STREAM
        self._said: int | None = None

    @property
    def busy(self) -> bool:
        """Whether a call is under way, or may be."""
        return self._opaque or bool(self._calls)

    @property
    def unanswered(self) -> bool:
        """Whether upstream has not said a word."""
        return not self._served and not self._opaque

    @property
    def uploading(self) -> bool:
        """Whether the client may still ask, which it does only once it was greeted."""
        return not self._opaque

    @property
    def broken(self) -> bool:
        """Whether blocks would have to be encoded anew that cannot be read any more."""
        return self._opaque and self._strip

    def request(self, data: bytes) -> list[bytes]:
        """See bytes from the client."""
        return self._follow(self._from_client, data)

    def response(self, data: bytes) -> list[bytes]:
        """See bytes from upstream."""
        passed = self._follow(self._from_upstream, data)
        self._served = self._served or bool(passed)
        return passed

    def client_gone(self) -> None:
        """See that the client left."""
        self._counters.add("inferwatch_sidecar_client_gone_total", len(self._calls))
        self._end_all(GrpcCall.client_gone)

    def upstream_gone(self, *, cut: bool = False) -> None:
        """See that upstream left its calls unanswered, whichever way it went."""
        self._counters.add("inferwatch_sidecar_upstream_errors_total", len(self._calls))
        self._end_all(GrpcCall.upstream_gone)

    def refuse(self, reason: str) -> list[bytes]:
        """Greet the client and answer each of its calls with `UNAVAILABLE`, so that it is told why."""
        sent = [] if self._served else self.response(greeting())
        waiting = sorted(self._calls)
        for stream in waiting:
            self._counters.add("inferwatch_sidecar_upstream_errors_total")
            sent += self.response(unavailable(stream, reason))
        # The next call opens another connection, and upstream is tried anew.
        return [*sent, goaway(waiting[-1])] if waiting else sent

    def farewell(self) -> bytes:
        """Return GOAWAY: calls that are under way go on, further ones need another connection.

        It is said again once no call is under way, with the last one that was taken: a client knows then that what it
        sends meanwhile was not processed, and asks again elsewhere.
        """
        last = _EVERY_STREAM if self._calls else self._last_stream
        if self._opaque or last == self._said or not self._served or not self._from_upstream.between_frames:
            return b""
        self._said = last
        return goaway(last)

    def _follow(self, side: Side, data: bytes) -> list[bytes]:
        if self._opaque:
            return [*side.release(), data]
        try:
            return side.feed(data)
        except (NotHttp2, ContentError):
            self._become_opaque()
            return side.release()
        except Exception:
            self._counters.add("inferwatch_sidecar_observer_errors_total")
            log.exception("A connection passes unobserved from here on")
            self._become_opaque()
            return side.release()

    def _request_headers(self, headers: Headers, block: Block) -> bytes | None:
        if block.stream > self._last_stream:
            self._last_stream = block.stream
            self._counters.add("inferwatch_sidecar_grpc_calls_total")
            if block.stream <= self._last_taken:
                call = GrpcCall(self._tap, self._clock, self._counters, headers, self._keeping)
                self._calls[block.stream] = call
        if not self._strip:
            return None
        kept = table_updates(block.encoded) + literals(without_ours(headers))
        return header_frames(Block(block.stream, block.ends_stream, kept, block.priority))

    def _request_data(self, stream: int, data: memoryview, ends_stream: bool) -> None:
        call = self._calls.get(stream)
        if call is not None:
            call.request_data(data)

    def _request_reset(self, stream: int, code: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            self._counters.add("inferwatch_sidecar_client_gone_total")
            call.client_gone()

    def _response_headers(self, headers: Headers, block: Block) -> bytes | None:
        call = self._calls.get(block.stream)
        if call is None:
            return None
        added = call.response_headers(headers)
        if block.ends_stream:
            del self._calls[block.stream]
            call.end_with(headers)
        if not added:
            return None
        return header_frames(Block(block.stream, block.ends_stream, block.encoded + literals(added), block.priority))

    def _response_data(self, stream: int, data: memoryview, ends_stream: bool) -> None:
        call = self._calls.get(stream)
        if call is not None:
            call.response_data(data)
            if ends_stream:
                del self._calls[stream]
                call.end_with(())

    def _response_reset(self, stream: int, code: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            call.reset(code)

    def _upstream_leaves(self, last: int) -> None:
        """See the last call that upstream takes; clients ask again elsewhere for those after it (RFC 9113, 6.8)."""
        self._last_taken = min(last, self._last_taken)
        for stream in [stream for stream in self._calls if stream > last]:
            self._calls.pop(stream).unprocessed()

    def _become_opaque(self) -> None:
        self._opaque = True
        self._counters.add("inferwatch_sidecar_unreadable_connections_total")
        self._end_all(GrpcCall.unreadable)

    def _end_all(self, end: Callable[[GrpcCall], None]) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            end(call)
