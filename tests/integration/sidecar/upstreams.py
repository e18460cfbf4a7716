"""Servers that stand in for Triton where a test must decide every byte, and a sidecar in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from inferwatch import InferenceEvent, MirrorSettings
from inferwatch.delivery import TransportFactory
from inferwatch.transport import MemoryTransport, Report
from inferwatch.wire import decode_inference, split_record
from ingest.sidecar.settings import SidecarSettings
from ingest.sidecar.sidecar import Sidecar
from tests.support.waiting import until

DEADLINE = 10.0
GENERATE = "/v2/models/m/generate"
ASKED = json.dumps({"text_input": "Hi"}).encode()
ANSWERED = json.dumps({"model_name": "m", "model_version": "1", "text_output": "Hello"}).encode()
EVENT_ID = re.compile(rb"x-inferwatch-event-id: ([0-9a-f-]{36})\r\n")
NOWHERE = "127.0.0.1:1"
"""An address that refuses connections."""

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Mirrored:
    """A transport that keeps what a sidecar mirrors."""

    def __init__(self) -> None:
        self._transports: list[MemoryTransport] = []

    def __call__(self, _settings: MirrorSettings, report: Report) -> MemoryTransport:
        self._transports.append(MemoryTransport(report))
        return self._transports[-1]

    def events(self) -> list[InferenceEvent]:
        """Return every event that was sent so far."""
        records = [record for transport in self._transports for record in transport.records]
        return [decode_inference(line, index) for record in records for index, line in split_record(record)]

    async def wait(self, count: int) -> list[InferenceEvent]:
        """Wait for a number of events and return them; fail where more came."""
        await until(lambda: len(self.events()) >= count, f"{count} events")
        assert len(self.events()) == count
        return self.events()


@contextlib.asynccontextmanager
async def sidecar_before(
    http: str = NOWHERE, grpc: str = NOWHERE, *, transport: TransportFactory | None = None, **changes: Any
) -> AsyncIterator[tuple[Sidecar, Mirrored]]:
    """Run a sidecar in front of these addresses; with a `transport`, nothing of what it mirrors is seen here."""
    mirrored = Mirrored()
    settings = SidecarSettings(
        http_port=0,
        grpc_port=0,
        admin_port=0,
        upstream_http=http,
        upstream_grpc=grpc,
        mirror=MirrorSettings("unused:1", linger=0.0),
        drain_timeout=2.0,
    )
    async with Sidecar(replace(settings, **changes), transport=transport or mirrored) as sidecar:
        yield sidecar, mirrored


@contextlib.asynccontextmanager
async def http_upstream(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve each connection with `answer` and yield the address; a connection that breaks is the test's own doing."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=64 << 20, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving - {None}:
            assert task is not None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def always(response: bytes) -> Answer:
    """Return an upstream that reads requests with a Content-Length and gives each the same response."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(response)
            await writer.drain()

    return answer


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request whose length its head tells."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


def ok(body: bytes, headers: str = "Content-Type: application/json\r\n") -> bytes:
    """Return a response with a length."""
    return f"HTTP/1.1 200 OK\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """Return a request with a length."""
    return f"POST {path} HTTP/1.1\r\nHost: triton\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.asynccontextmanager
async def connected(
    port: int, limit: int = 64 << 20, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a port of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
