"""The tap that records inferences: makes an `Exchange` of each and hands it over once it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from inferwatch.clock import Clock
from inferwatch.ids import new_event_id
from ingest.sidecar.budget import Keeping
from ingest.sidecar.exchange import Capture, Exchange, Route
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.headers import GRPC_CODING, kept
from ingest.sidecar.http_head import Head
from ingest.sidecar.routes import grpc_route, http_route
from ingest.sidecar.stream_split import StreamRecorder
from ingest.sidecar.tap import GrpcObserver, HttpObserver, Outcome

EVENT_ID_HEADER: Final = "x-inferwatch-event-id"


class Recorder:
    """Watches inferences and passes each on to `ended`, on the event loop."""

    def __init__(
        self, ended: Callable[[Exchange], None], clock: Clock, keeping: Keeping, stream_idle: float = 10.0
    ) -> None:
        self._pass_on = ended
        self._clock = clock
        self._keeping = keeping
        self._stream_idle = stream_idle
        self._streams: set[StreamRecorder] = set()

    def http(self, at: float, head: Head) -> HttpObserver | None:
        """Return a recorder for an inference, None for any other request."""
        route = http_route(head.start[0], head.start[1])
        if route is None:
            return None
        return HttpRecorder(self._exchange(at, route, kept(head.headers)), self._clock, self._ended)

    def grpc(self, at: float, method: str, metadata: Headers) -> GrpcObserver | None:
        """Return a recorder for an inference or a stream of them, None for any other call."""
        route = grpc_route(method)
        if route is None:
            return None
        headers = kept(metadata)
        if not route.streamed:
            return UnaryRecorder(self._exchange(at, route, headers), self._ended)
        event_id = new_event_id()
        stream = StreamRecorder(
            event_id,
            lambda began, known: self._exchange(began, route, headers, known),
            self._ended,
            self._streams.discard,
            self._stream_idle,
        )
        stream.added_metadata = ((EVENT_ID_HEADER, event_id),)
        self._streams.add(stream)
        return stream

    def expire(self) -> None:
        """End the requests of streams that wait for nothing any more; call every second or so."""
        now = self._clock.elapsed()
        for stream in list(self._streams):
            stream.expire(now)

    def _exchange(self, at: float, route: Route, headers: dict[str, str], event_id: str | None = None) -> Exchange:
        return Exchange(
            event_id=event_id or new_event_id(),
            route=route,
            headers=headers,
            started_at=self._clock.now() - (self._clock.elapsed() - at),
            started=at,
            request=Capture(self._keeping.most, self._keeping.budget),
            response=Capture(self._keeping.most, self._keeping.budget),
        )

    def _ended(self, exchange: Exchange) -> None:
        """Pass an exchange on to whoever bounds from now on what is held of it.

        One that upstream says it has not processed is none: its client asks again, on another connection.
        """
        exchange.request.release()
        exchange.response.release()
        if exchange.outcome != "unprocessed":
            self._pass_on(exchange)


class HttpRecorder:
    """Records one HTTP inference."""

    __slots__ = ("_clock", "_ended", "_exchange", "added_headers")

    def __init__(self, exchange: Exchange, clock: Clock, ended: Callable[[Exchange], None]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._ended = ended
        self.added_headers = f"{EVENT_ID_HEADER}: {exchange.event_id}\r\n".encode()

    def request_part(self, data: memoryview) -> None:
        """Keep what fits."""
        self._exchange.request.add(self._clock.elapsed(), data)

    def response_head(self, status: int, head: Head) -> None:
        """Keep status and headers."""
        self._exchange.code = str(status)
        self._exchange.response_headers = kept(head.headers)

    def response_part(self, at: float, data: memoryview) -> None:
        """Keep what fits."""
        self._exchange.response.add(at, data)

    def end(self, at: float, outcome: Outcome) -> None:
        """Hand the exchange over."""
        self._exchange.ended = at
        self._exchange.outcome = outcome
        self._ended(self._exchange)


class UnaryRecorder:
    """Records one gRPC inference with one request and one response."""

    __slots__ = ("_ended", "_exchange", "added_metadata")

    def __init__(self, exchange: Exchange, ended: Callable[[Exchange], None]) -> None:
        self._exchange = exchange
        self._ended = ended
        self.added_metadata: Headers = ((EVENT_ID_HEADER, exchange.event_id),)

    def request(self, at: float, message: GrpcMessage) -> None:
        """Keep what fits."""
        self._exchange.request.add_message(at, message, self._exchange.headers.get(GRPC_CODING, ""))

    def response_head(self, headers: Headers) -> None:
        """Keep the headers."""
        self._exchange.response_headers = kept(headers)

    def response(self, at: float, message: GrpcMessage) -> None:
        """Keep what fits."""
        self._exchange.response.add_message(at, message, self._exchange.response_headers.get(GRPC_CODING, ""))

    def end(self, at: float, outcome: Outcome, code: str, details: str) -> None:
        """Hand the exchange over."""
        self._exchange.ended = at
        self._exchange.outcome = outcome
        self._exchange.code = code
        self._exchange.details = details
        self._ended(self._exchange)
