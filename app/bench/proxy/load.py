"""Load from one process: so many calls a second whatever happens to those before, or as many as can be done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from hpack import Encoder

from app.bench.proxy import messages
from ingest.sidecar.h2_frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, Block, frame
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.h2_side import Side

Call = Callable[[], Awaitable["Timed"]]
"""Makes one call and says how long it took."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds to the first byte of a response and to its end; `failed` where there was none."""

    first: float
    whole: float
    failed: bool = False


@dataclass(slots=True)
class Sample:
    """What many calls took."""

    calls: list[Timed] = field(default_factory=list)

    def milliseconds(self, quantile: float, *, first: bool = False) -> float:
        """Return a quantile, of all calls that were answered."""
        times = sorted(timed.first if first else timed.whole for timed in self.calls if not timed.failed)
        return times[min(len(times) - 1, int(quantile * len(times)))] * 1000

    @property
    def failures(self) -> int:
        """How many were not answered."""
        return sum(timed.failed for timed in self.calls)


class Target(Protocol):
    """A server with connections to it."""

    async def call(self) -> Timed:
        """Make one call on a connection that is free."""
        ...


async def at_rate(target: Target, rate: float, seconds: float) -> Sample:
    """Begin `rate` calls a second, each at its time, and wait for all of them."""
    sample = Sample()
    begun: set[asyncio.Task[Timed]] = set()
    start = time.perf_counter()
    for place in range(int(rate * seconds)):
        wait = start + place / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        begun.add(asyncio.create_task(target.call()))
    for task in begun:
        sample.calls.append(await task)
    return sample


async def as_many(target: Target, at_once: int, seconds: float) -> float:
    """Keep `at_once` calls under way; return how many were answered a second."""
    end = time.perf_counter() + seconds
    answered = 0

    async def keep_calling() -> None:
        nonlocal answered
        while time.perf_counter() < end:
            timed = await target.call()
            answered += not timed.failed

    began = time.perf_counter()
    await asyncio.gather(*(keep_calling() for _ in range(at_once)))
    return answered / (time.perf_counter() - began)


class _HttpConnection(asyncio.Protocol):
    def __init__(self) -> None:
        self._answer: asyncio.Future[Timed] | None = None
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it

    def ask(self, request: bytes) -> asyncio.Future[Timed]:
        self._answer = asyncio.get_running_loop().create_future()
        self._held, self._first = b"", 0.0
        self._began = time.perf_counter()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._answer is None or self._answer.done():
            return
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        if not self._first and len(self._held) > end + 4:
            self._first = now
        if self._is_whole(end):
            ok = self._held.startswith(b"HTTP/1.1 200")
            self._answer.set_result(Timed(self._first - self._began, now - self._began, failed=not ok))

    def _is_whole(self, end: int) -> bool:
        head = self._held[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            return self._held.endswith(messages.STREAM_END)
        return len(self._held) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Timed(0.0, 0.0, failed=True))


class HttpTarget:
    """Keep-alive connections to one address that send one request again and again."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._free: list[_HttpConnection] = []

    async def call(self) -> Timed:
        """Make one call; a connection that was lost is replaced."""
        while self._free and self._free[-1].transport.is_closing():
            self._free.pop()
        if self._free:
            connection = self._free.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_HttpConnection, "127.0.0.1", self._port)
        timed = await connection.ask(self._request)
        self._free.append(connection)
        return timed


class _GrpcConnection(asyncio.Protocol):
    def __init__(self) -> None:
        self._answers: dict[int, tuple[asyncio.Future[Timed], float]] = {}
        self._first: dict[int, float] = {}
        self._stream = 1
        self._encoder = Encoder()
        self._side = Side(self._headers, self._data, lambda stream, code: self._done(stream, failed=True))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it
        large_windows = (4).to_bytes(2, "big") + (2**31 - 1).to_bytes(4, "big")
        whole = frame(0x8, 0, 0, (2**31 - 1 - 65_535).to_bytes(4, "big"))
        self.transport.write(PREFACE + frame(SETTINGS, 0, 0, large_windows) + whole)

    def ask(self, method: str, message: bytes) -> asyncio.Future[Timed]:
        stream, self._stream = self._stream, self._stream + 2
        answer: asyncio.Future[Timed] = asyncio.get_running_loop().create_future()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "triton:8001"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-python/1.62.0"),
            ("grpc-timeout", "30S"),
        ]
        framed = b"\x00" + len(message).to_bytes(4, "big") + message
        self._answers[stream] = (answer, time.perf_counter())
        self.transport.write(
            frame(HEADERS, END_HEADERS, stream, self._encoder.encode(headers)) + frame(DATA, END_STREAM, stream, framed)
        )
        return answer

    def data_received(self, data: bytes) -> None:
        self._side.feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        for stream in list(self._answers):
            self._done(stream, failed=True)

    def _headers(self, headers: Headers, block: Block) -> bytes | None:
        if block.ends_stream:
            self._done(block.stream, failed=dict(headers).get("grpc-status") != "0")
        return None

    def _data(self, stream: int, data: memoryview, ends_stream: bool) -> None:
        self._first.setdefault(stream, time.perf_counter())

    def _done(self, stream: int, *, failed: bool) -> None:
        answer, began = self._answers.pop(stream)
        now = time.perf_counter()
        answer.set_result(Timed(self._first.pop(stream, now) - began, now - began, failed))


class GrpcTarget:
    """Connections to one address that make one call again and again, several at once on each."""

    def __init__(self, port: int, method: str, message: bytes, connections: int = 4) -> None:
        self._port = port
        self._method = method
        self._message = message
        self._wanted = connections
        self._connections: list[_GrpcConnection] = []
        self._next = 0

    async def call(self) -> Timed:
        """Make one call on the next connection."""
        loop = asyncio.get_running_loop()
        while len(self._connections) < self._wanted:
            _, connection = await loop.create_connection(_GrpcConnection, "127.0.0.1", self._port)
            self._connections.append(connection)
        self._next = (self._next + 1) % self._wanted
        return await self._connections[self._next].ask(self._method, self._message)
