"""What nobody should send: random bytes, damaged good requests, and connections that are no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import random
import zlib
from typing import Final

import aiohttp
import grpc

from ingest.collector.ways import WAYS
from tests.fuzz.good import EXPORT
from tests.fuzz.tally import Tally
from tests.support.collector import CollectorProcess
from tests.support.otel_payloads import payloads

_PAUSE_SECONDS: Final = 0.005
_SEEDS: Final = (
    b"{}", b"[]", b"[{}]", b"null", b'{"duration":1,"request_model":"m"}', b'{"kind":"drops"}', b'{"event_id":"x"}',
    json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "00"}]}]}]}).encode(),
    json.dumps({"specversion": "1.0", "id": "1", "type": "org.kubeflow.serving.inference.request"}).encode(),
    b"[" * 5000, b'{"a":' * 5000, b'{"duration":1e400}', b'{"duration":' + b"9" * 5000 + b"}", b'"\\ud800"',
    *((payloads.HERE / f"{name}.traces.pb").read_bytes() for name in payloads.NAMES),
)  # fmt: skip
_TYPES: Final = (
    *{media_type for way in WAYS for media_type in way.media_types},
    *("text/plain", "application/json; charset=utf-16", "multipart/form-data", "", "application/grpc", "a/b/c"),
)
_HEADERS: Final = {
    "content-encoding": ("gzip", "deflate", "br", "identity", "GZIP", "x"),
    "idempotency-key": ("k", "k2", "x" * 300, "ü"),
    "ce-specversion": ("1.0", "9"),
    "ce-id": ("1", "", "x" * 300),
    "ce-type": ("org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response", "%%%", "%ff"),
    "ce-time": ("2027-01-01T00:00:00Z", "0", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"),
    "ce-metadata": ("{", '{"a":["b"]}', "[]", '{"traceparent":[7]}'),
    "expect": ("100-continue",),
    "x-api-key": ("iw_00000000_" + "x" * 43, "nonsense"),
}
_CLOUDEVENT: Final = {
    "ce-specversion": b"1.0",
    "ce-id": b"1",
    "ce-type": b"org.kubeflow.serving.inference.request",
}


class Hostile:
    """Sends one bad request after the other."""

    def __init__(self, running: CollectorProcess, key: str, tally: Tally, stop: asyncio.Event, seed: int) -> None:
        self._running = running
        self._key = key
        self._tally = tally
        self._stop = stop
        self._random = random.Random(seed)

    async def over_http(self) -> None:
        """Send bodies that are damaged, wrongly labelled, or nothing at all."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
            while not self._stop.is_set():
                await self._request(session)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def over_grpc(self) -> None:
        """Send messages that are none, to methods that are there and to others."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._running.grpc}") as channel:
            while not self._stop.is_set():
                method = EXPORT if self._random.random() < 0.8 else EXPORT.replace("trace", "x", 1)
                metadata = (("x-api-key", self._key if self._random.random() < 0.9 else "nonsense"),)
                try:
                    await channel.unary_unary(method)(self._body(), metadata=metadata, timeout=30)
                    self._tally.answered("hostile gRPC", "OK", {})
                except grpc.aio.AioRpcError as error:
                    self._tally.answered("hostile gRPC", error.code().name, {})
                    if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
                        self._tally.problem(f"gRPC was answered with {error.code()}: {error.details()}")
                await asyncio.sleep(2 * _PAUSE_SECONDS)

    async def over_sockets(self) -> None:
        """Send bytes that are no HTTP or stop in the middle of it, to both ports."""
        while not self._stop.is_set():
            port = self._random.choice((self._running.http, self._running.grpc))
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(5):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(self._raw())
                    await writer.drain()
                    answer = await self._first_line(reader)
                    writer.close()
                    if port == self._running.http and answer.startswith(b"HTTP/1"):
                        self._tally.answered("hostile socket", int(answer.split()[1]), {})
            await asyncio.sleep(4 * _PAUSE_SECONDS)

    async def _first_line(self, reader: asyncio.StreamReader) -> bytes:
        """Return the answer's first line, b"" where none comes soon: half a request has none."""
        try:
            async with asyncio.timeout(0.2):
                return await reader.readline()
        except (TimeoutError, ValueError):
            return b""

    async def _request(self, session: aiohttp.ClientSession) -> None:
        chance = self._random
        way = chance.choice(WAYS)
        path = way.path
        media_type = chance.choice(way.media_types if chance.random() < 0.8 else _TYPES)
        headers = {"content-type": media_type, "authorization": f"Bearer {self._key}"}
        for name in chance.sample(list(_HEADERS), chance.choice((0, 0, 1, 4))):
            headers[name] = chance.choice(_HEADERS[name])
        if "x-api-key" in headers:
            del headers["authorization"]
        body = self._body()
        if headers.get("content-encoding") in ("gzip", "deflate") and chance.random() < 0.8:
            body = (gzip.compress if headers["content-encoding"] == "gzip" else zlib.compress)(body)
            if chance.random() < 0.2:
                body = body[: chance.randrange(len(body))]
        method = "POST" if chance.random() < 0.97 else chance.choice(["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
        # aiohttp does not compress by itself, nor labels what it is given, while these headers are there.
        data = io.BytesIO(body)
        try:
            async with session.request(
                method, self._running.base + path, data=data, headers=headers, skip_auto_headers=("content-type",)
            ) as response:
                await response.read()
                self._tally.answered(f"hostile {path}", response.status, response.headers)
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            self._tally.answered(f"hostile {path}", type(error).__name__, {})

    def _body(self) -> bytes:
        """Return a good body, damaged, or bytes that never were one."""
        chance = self._random
        if chance.random() < 0.2:
            return chance.randbytes(chance.randrange(2000))
        body = bytearray(chance.choice(_SEEDS))
        for _ in range(chance.randrange(6)):
            if not body:
                break
            place = chance.randrange(len(body))
            match chance.randrange(4):
                case 0:
                    body[place] ^= 1 << chance.randrange(8)
                case 1:
                    del body[place : place + chance.randrange(20)]
                case 2:
                    body[place:place] = chance.randbytes(chance.randrange(20))
                case _:
                    other = chance.choice(_SEEDS)
                    body[place : place + 10] = other[: chance.randrange(1 + min(200, len(other)))]
        return bytes(body)

    def _raw(self) -> bytes:
        chance = self._random
        head = (
            f"POST {chance.choice([way.path for way in WAYS])} HTTP/1.1\r\nHost: x\r\n"
            f"authorization: Bearer {self._key}\r\ncontent-type: application/json\r\n"
        ).encode()
        return chance.choice(
            [
                chance.randbytes(chance.randrange(500)),
                head + b"transfer-encoding: chunked\r\n\r\n5\r\n{}\r\nzz\r\n",
                head + b"transfer-encoding: chunked\r\n\r\n" + chance.randbytes(40),
                head + b"content-length: 100\r\n\r\n{",
                head + b"content-length: -1\r\n\r\n",
                head + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
                head[: chance.randrange(len(head))],
                head + self._above_ascii() + b"content-length: 2\r\n\r\n{}",
                head + b"x: " + b"y" * chance.randrange(100_000) + b"\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(chance.randrange(200)),
            ]
        )

    def _above_ascii(self) -> bytes:
        """Return the headers of a CloudEvent, one of them, or another, with bytes that are hardly UTF-8."""
        headers = dict(_CLOUDEVENT)
        headers[self._random.choice(list(_HEADERS))] = bytes(0x80 | byte for byte in self._random.randbytes(3))
        return b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers.items())
