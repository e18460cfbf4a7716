"""A server that answers at once what it answers always, so that what is measured is what stands before it.

Run as a process: `python -m app.bench.proxy.upstream HTTP_PORT GRPC_PORT`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final, cast

import uvloop
from hpack import Encoder

from app.bench.proxy import messages
from ingest.sidecar.h2_frames import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, Block, frame
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.h2_side import Side

_WINDOW_UPDATE: Final = 0x8
_RESPONSE: Final = messages.http_response()
_STREAMED: Final = messages.stream_piece()
_GRPC_RESPONSE: Final = messages.grpc_response()
_GRPC_PIECES: Final = [messages.grpc_piece(final=place == messages.PIECES - 1) for place in range(messages.PIECES)]


class HttpUpstream(asyncio.Protocol):
    """Answers HTTP/1 requests that have a length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            if b"generate_stream" in head:
                self._transport.write(messages.stream_head())
                self._stream(messages.PIECES)
            else:
                self._transport.write(_RESPONSE)

    def _stream(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(messages.STREAM_END)
            return
        self._transport.write(_STREAMED)
        asyncio.get_running_loop().call_soon(self._stream, left - 1)


class GrpcUpstream(asyncio.Protocol):
    """Answers gRPC calls with one message, or with many, once their first message is here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it
        self._methods: dict[int, str] = {}
        self._encoder = Encoder()
        self._side = Side(self._headers, self._data, self._reset, PREFACE)
        self._transport.write(frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))

    def data_received(self, data: bytes) -> None:
        for piece in self._side.feed(data):
            at = piece.find(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00")
            if at >= 0:  # gRPC's clients measure with pings how large their windows should be
                self._transport.write(frame(PING, ACK, 0, piece[at + 9 : at + 17]))

    def _headers(self, headers: Headers, block: Block) -> bytes | None:
        self._methods.setdefault(block.stream, dict(headers).get(":path", ""))
        return None

    def _data(self, stream: int, data: memoryview, ends_stream: bool) -> None:
        if len(data):
            update = len(data).to_bytes(4, "big")
            self._transport.write(frame(_WINDOW_UPDATE, 0, 0, update))
            answer = self._many(stream) if self._methods[stream] == messages.STREAM_METHOD else self._one(stream)
            self._transport.write(answer)
            del self._methods[stream]

    def _reset(self, stream: int, code: int) -> None:
        self._methods.pop(stream, None)

    def _one(self, stream: int) -> bytes:
        return self._begin(stream) + _message(stream, _GRPC_RESPONSE) + self._end(stream)

    def _many(self, stream: int) -> bytes:
        return self._begin(stream) + b"".join(_message(stream, piece) for piece in _GRPC_PIECES) + self._end(stream)

    def _begin(self, stream: int) -> bytes:
        headers = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-accept-encoding", "identity")]
        return frame(HEADERS, END_HEADERS, stream, self._encoder.encode(headers))

    def _end(self, stream: int) -> bytes:
        trailers = self._encoder.encode([("grpc-status", "0"), ("grpc-message", "")])
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers)


def _message(stream: int, message: bytes) -> bytes:
    return frame(DATA, 0, stream, b"\x00" + len(message).to_bytes(4, "big") + message)


async def _serve(http_port: int, grpc_port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [
        await loop.create_server(HttpUpstream, "127.0.0.1", http_port, backlog=1024),
        await loop.create_server(GrpcUpstream, "127.0.0.1", grpc_port, backlog=1024),
    ]
    await stop.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
