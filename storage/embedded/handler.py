"""From an HTTP request to its answer."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from aiohttp import BodyPartReader, ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from storage.embedded import answer
from storage.embedded.compression import decompressor
from storage.embedded.engine import Engine
from storage.embedded.errors import NotAuthenticated, RequestError, SpaceMissing, StatementRefused, UploadFailed
from storage.embedded.places import Places
from storage.embedded.pump import pumped
from storage.embedded.request import Request, authenticate, from_a_page, read_request
from storage.embedded.settings import EmbeddedSettings
from storage.embedded.spool import Room, Spool
from storage.embedded.statement import HEAD_BYTES, STREAMABLE, Kind, Statement, parse
from storage.embedded.upload import receive

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

# Longer SQL than this is refused before it is looked at; the engine's own limit (max_query_size) is lower.
_LONGEST_SQL = 16 * 1024 * 1024
# Free on disk beside twice the data, so that an insert that begins can end.
_ROOM_BYTES = 16 * 1024 * 1024
# A query that has not yet begun cannot be told to stop: so often is it told again.
_PATIENCE_SECONDS = 0.2


class Handler:
    """Answers ClickHouse's HTTP interface from one engine."""

    def __init__(self, engine: Engine, settings: EmbeddedSettings, places: Places, room: Room) -> None:
        self._engine = engine
        self._settings = settings
        self._places = places
        self._room = room

    def routes(self) -> list[web.RouteDef]:
        """Every path that is answered."""
        return [
            web.get("/ping", self.ping),
            web.get("/replicas_status", self.ping),
            web.get("/health", self.health),
            web.route("*", "/", self.statement),
        ]

    async def ping(self, http: web.Request) -> web.Response:
        """The server is up."""
        return web.Response(text="Ok.\n", headers={"X-ClickHouse-Server-Display-Name": answer.DISPLAY_NAME})

    async def health(self, http: web.Request) -> web.Response:
        """What runs and waits, as JSON."""
        places = self._places
        return web.json_response(
            {
                "status": "ok",
                "engine": self._engine.version,
                "pid": os.getpid(),
                "path": str(self._settings.path),
                "running": places.running,
                "waiting": places.present - places.running,
            }
        )

    async def statement(self, http: web.Request) -> web.StreamResponse:
        """Run one statement."""
        if http.method == "GET" and "query" not in http.query:
            return await self.ping(http)
        try:
            if from_a_page(self._settings.host, http.headers):
                # No page in a browser has business here; without this any of them could post to loopback.
                raise NotAuthenticated
            authenticate(self._settings, http.query, http.headers)
            with self._places.admitted():
                return await self._run(http)
        except RequestError as error:
            log.info("%s %s: %s", http.method, error.status, error.message)
            return answer.error_answer(error)

    async def _run(self, http: web.Request) -> web.StreamResponse:
        fields = list(http.query.items())
        form = http.content_type == "multipart/form-data"
        if form:
            fields += await _form_fields(http)
        request = read_request(http.method, fields, http.headers)
        body = Spool(self._room)
        try:
            if request.query:
                body.add(request.query.encode() + b"\n")
            if not form:
                coding = decompressor(http.headers.get("Content-Encoding"))
                await receive(_body(http), coding, body, self._settings.max_upload_bytes)
            statement = _parse(body)
            if statement.kind is Kind.INSERT:
                return await self._insert(request, statement, body)
            return await self._query(http, request, statement)
        finally:
            body.close()

    async def _insert(self, request: Request, statement: Statement, body: Spool) -> web.Response:
        # The engine does not tell an inserter of a disk that is full: it answers, and keeps nothing.
        if shutil.disk_usage(self._settings.path).free < _ROOM_BYTES + 2 * body.size:
            raise SpaceMissing(self._settings.path)
        async with self._places.place(writing=True) as threads:
            progress = await _uninterrupted(
                asyncio.get_running_loop().run_in_executor(
                    threads,
                    self._engine.insert,
                    statement.head,
                    statement.format or request.default_format,
                    request.session,
                    body.pieces(statement.data_start),
                )
            )
        headers = answer.common_headers(self._engine.timezone, request, None) | answer.summary_header(progress)
        return web.Response(body=b"", headers=headers)

    async def _query(self, http: web.Request, request: Request, statement: Statement) -> web.StreamResponse:
        format_name = statement.format or request.default_format
        writing = statement.kind is Kind.OTHER
        headers = answer.common_headers(self._engine.timezone, request, None if writing else format_name)
        sql, session = statement.head, request.session

        def stop() -> None:
            self._engine.cancel(request.mark)

        async with self._places.place(writing=writing) as threads:
            if statement.kind is Kind.SELECT and format_name.lower() in STREAMABLE:
                blocks = pumped(threads, lambda: self._engine.stream(sql, format_name, session), stop)
                return await answer.streamed_answer(http, blocks, headers, request.accept_encoding)
            body, progress = await _uninterrupted(
                asyncio.get_running_loop().run_in_executor(threads, self._engine.query, sql, format_name, session),
                None if writing else stop,
            )
        if body:
            headers["X-ClickHouse-Format"] = format_name
        return answer.whole_answer(body, headers | answer.summary_header(progress), request.accept_encoding)


def _parse(body: Spool) -> Statement:
    head = body.head(HEAD_BYTES)
    if body.size <= len(head) or head.lstrip()[:6].upper() == b"INSERT":
        statement = parse(head)
        if statement.kind is Kind.INSERT or body.size <= len(head):
            return statement
    if body.size > _LONGEST_SQL:
        raise StatementRefused(f"The statement is longer than {_LONGEST_SQL} bytes", code=307, name="TOO_MANY_BYTES",
                               status=413)  # fmt: skip
    return parse(body.head(body.size))


async def _body(http: web.Request) -> AsyncIterator[bytes]:
    """The body as it arrives; one that stops half-way is an error, never an end."""
    try:
        async for chunk in http.content.iter_any():
            yield chunk
    except (ClientError, ConnectionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise UploadFailed(f"The body is cut short: {error}") from error


async def _form_fields(http: web.Request) -> list[tuple[str, str]]:
    fields = []
    async for part in await http.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None or part.filename is not None:
            raise StatementRefused("External data is not implemented", code=48, name="NOT_IMPLEMENTED", status=501)
        fields.append((part.name, await part.text()))
    return fields


async def _uninterrupted(work: asyncio.Future[_Result], stop: Callable[[], None] | None = None) -> _Result:
    """Wait for an engine thread; one that was started is waited for even where nobody wants the answer any more.

    It still uses the request's body and its place. With `stop` it is told that nobody does; what writes is not.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while stop is not None and not work.done():
            await asyncio.to_thread(stop)
            await asyncio.wait({work}, timeout=_PATIENCE_SECONDS)
        await asyncio.wait({work})
        raise
