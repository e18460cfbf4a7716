"""The HTTP port: routes, and the way of a request from its head to its answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from ingest.collector import answers, docs_page, openapi
from ingest.collector.answers import Answer, plain_error
from ingest.collector.body import read_body
from ingest.collector.caller import authenticate
from ingest.collector.desk import Desk
from ingest.collector.way import Way
from ingest.counters import exposition
from ingest.errors import Malformed, Refused, WrongMediaType

log: Final = logging.getLogger("inferwatch.collector")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpApi:
    """Serves the ways in, and what people and Prometheus ask for."""

    def __init__(self, desk: Desk, ways: Sequence[Way], ready: Callable[[], Awaitable[bool]]) -> None:
        self._desk = desk
        self._ready = ready
        self._document = openapi.document(ways)
        self._page = docs_page.page(self._document)
        self.app = web.Application(middlewares=[self._told])
        router = self.app.router
        for way in ways:
            router.add_post(way.path, self._handler(way), expect_handler=_expected)
        pages: dict[str, Handler] = {
            "/openapi.json": self._openapi,
            "/docs": self._docs,
            "/healthz": self._live,
            "/readyz": self._is_ready,
            "/metrics": self._metrics,
        }
        for path, handler in pages.items():
            router.add_get(path, handler, expect_handler=_expected)
        self._methods = {way.path: {"POST"} for way in ways} | {path: {"GET", "HEAD"} for path in pages}
        # Paths of aiohttp's own would have its way with `Expect` too.
        router.add_route("*", "/{path:.*}", self._elsewhere, expect_handler=_expected)

    def _handler(self, way: Way) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            self._desk.counters.add("inferwatch_collector_http_requests_total")
            media_type = request.content_type
            try:
                answer = Answer(200, await self._taken(request, way), way.answer_type(media_type))
            except Refused as error:
                answers.count(self._desk.counters, error.status)
                answer = way.refuse(error, media_type)
            return _response(answer)

        return handle

    async def _taken(self, request: web.Request, way: Way) -> bytes:
        """Take a request and return the answer's body; each step may raise `Refused`.

        1. Whose is it, and may they send more? 2. Is it in a form that is understood? 3. Read it. 4. Decode it.
        5. See it stored.
        """
        desk, settings = self._desk, self._desk.settings
        headers = {name.lower(): value for name, value in request.headers.items()}
        if way.key_in_query and "key" in request.query:
            headers.setdefault("x-api-key", request.query["key"])
        caller = authenticate(desk.ring, headers)
        desk.rates.request(caller.key_id)
        if not way.takes(request.content_type):
            raise WrongMediaType("Content-Type", way.media_types)
        with desk.in_flight.hold() as hold:
            try:
                body = await read_body(
                    request.content.iter_any(), headers, hold, settings.max_body_bytes, settings.body_seconds
                )
            except (web.RequestPayloadError, ConnectionError) as error:
                raise Malformed("the body is not framed as HTTP wants it, or its sender left") from error
            desk.counters.add("inferwatch_collector_body_bytes_total", len(body))
            desk.rates.body(caller.key_id, len(body))
            received = desk.received(caller, way.path, request.content_type, body, headers)
            batch = await desk.decoded(received, way.decode)
            return await desk.intake.accept(batch, received.repeat(batch))

    async def _elsewhere(self, request: web.Request) -> web.Response:
        allowed = self._methods.get(request.path)
        raise web.HTTPMethodNotAllowed(request.method, allowed) if allowed else web.HTTPNotFound

    @web.middleware
    async def _told(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell every error as JSON, also those that aiohttp raises and those that should not be."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            answers.count(self._desk.counters, error.status)
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return _response(plain_error(error.status, error.reason.lower().replace(" ", "_"), error.reason, allow))
        except Exception:
            log.exception("A request to %s failed", request.path)
            answers.count(self._desk.counters, 500)
            return _response(plain_error(500, "internal", "the collector failed to handle this request"))

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    async def _docs(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html")

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _is_ready(self, _request: web.Request) -> web.Response:
        if await self._ready():
            return web.json_response({"status": "ready"})
        return _response(plain_error(503, "not_ready", "no Kafka broker answers", {"Retry-After": "2"}))

    async def _metrics(self, _request: web.Request) -> web.Response:
        counters = self._desk.counters
        counters.set("inferwatch_collector_in_flight_bytes", self._desk.in_flight.held)
        return web.Response(text=exposition(counters.values()), content_type="text/plain", charset="utf-8")


async def _expected(request: web.Request) -> None:
    """Let a client go on that waits for a word before it sends its body (RFC 9110, section 10.1.1).

    aiohttp's own would quote what else is expected, and fail where that is no UTF-8.
    """
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    if request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What is sent is counted from the head of the answer on.
        request.writer.output_size = 0


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers, content_type=answer.media_type)
