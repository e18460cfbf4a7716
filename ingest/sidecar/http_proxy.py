"""HTTP: every client connection has its own connection to Triton, and the bytes of both pass as they are.

Because connections are paired one to one there is nothing to translate: keep-alive, chunks, trailers, `100 Continue`,
upgrades and early responses are between client and Triton. Only two things differ from no proxy at all: responses to
inferences carry one more header, and a Triton that cannot be reached answers with 502.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable
from typing import Final

from inferwatch.clock import Clock
from ingest.errors import ListenError, PortTakenError
from ingest.sidecar.http_watch import HttpWatch
from ingest.sidecar.metrics import Counters
from ingest.sidecar.settings import SidecarSettings, split_address
from ingest.sidecar.tap import Tap

_WRITE_BUFFER_BYTES: Final = 256 << 10
_LINGER_SECONDS: Final = 2.0


class HttpProxy:
    """Listens for HTTP clients and passes their connections on."""

    def __init__(self, settings: SidecarSettings, tap: Tap, clock: Clock, counters: Counters) -> None:
        self._settings = settings
        self._tap = tap
        self._clock = clock
        self._counters = counters
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()
        self._draining = False

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._clients)

    async def start(self) -> int:
        """Listen and return the port.

        Raises:
            ListenError: the address cannot be listened on; `PortTakenError` where something else does.
        """
        host, port = self._settings.host, self._settings.http_port
        try:
            self._server = await asyncio.get_running_loop().create_server(self._new_client, host, port, backlog=1024)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError("http_port", host, port) from error
            raise ListenError("http_port", host, port, error.strerror or str(error)) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def drain(self) -> None:
        """Accept no more, let running requests finish for at most `drain_timeout` seconds, close the rest."""
        if self._server is None:
            return
        self._draining = True
        await self._stop_accepting(self._server)
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._settings.drain_timeout
        while self._clients and clock() < deadline:
            for client in [client for client in self._clients if not client.watch.busy]:
                client.close()
            await asyncio.sleep(0.01)
        for client in list(self._clients):
            client.abort()
        await self._server.wait_closed()

    async def _stop_accepting(self, server: asyncio.Server) -> None:
        # A connection that asyncio has accepted but not yet given a transport leaks when the server closes under it.
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        server.close()

    def _new_client(self) -> asyncio.Protocol:
        watch = HttpWatch(self._tap, self._clock, self._counters)
        return _Client(watch, self._settings, self._opened, self._clients.discard)

    def _opened(self, client: _Client) -> None:
        self._clients.add(client)
        if self._draining:
            client.abort()


class _Client(asyncio.Protocol):
    """The client's connection. Triton's is opened with the first bytes, so a bare TCP check costs it nothing."""

    def __init__(
        self,
        watch: HttpWatch,
        settings: SidecarSettings,
        opened: Callable[[_Client], None],
        closed: Callable[[_Client], None],
    ) -> None:
        self.watch = watch
        self._settings = settings
        self._opened = opened
        self._closed = closed
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self._upstream: asyncio.Transport | None = None
        self._refused = False
        self._client_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.watch.request(data)
        if self._upstream is not None:
            self._upstream.write(data)
            return
        self._early.append(data)
        if self._connecting is None:
            self._transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def eof_received(self) -> bool:
        """Pass a half-close on; Triton decides what it means."""
        if self._upstream is None:
            return False
        self._client_ended = True
        if not self._upstream.is_closing():
            self._upstream.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._closed(self)
        self.watch.client_gone()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.abort()

    def pause_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.resume_reading()

    def close(self) -> None:
        """Close once what was written has gone out."""
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def send(self, data: bytes) -> None:
        """Pass bytes from upstream on."""
        if not self._transport.is_closing():
            for piece in self.watch.response(data):
                self._transport.write(piece)

    def pause_reading(self) -> None:
        """Upstream takes no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Upstream takes more again."""
        self._transport.resume_reading()

    def upstream_lost(self, error: Exception | None) -> None:
        """Let the client see what it would see without a proxy, or 502 where it would see no response at all."""
        self._upstream = None
        if self._transport.is_closing():
            return
        if self._client_ended:
            self.watch.client_gone()
            self._transport.close()
            return
        if self.watch.unanswered:
            self._refuse("closed the connection before it answered")
            return
        cut_short = error is not None and self.watch.ends_with_connection
        self.watch.upstream_gone()
        if cut_short:
            self._transport.abort()
        else:
            self._transport.close()

    async def _connect(self) -> None:
        host, port = split_address("upstream_http", self._settings.upstream_http)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                upstream, _ = await loop.create_connection(lambda: _Upstream(self), host, port)
        except TimeoutError:
            self._refuse(f"did not accept a connection within {self._settings.connect_timeout:g} s")
        except OSError as error:
            self._refuse(f"cannot be reached: {error.strerror or error}")
        else:
            self._upstream = upstream
            for data in self._early:
                upstream.write(data)
            self._early.clear()
            self._transport.resume_reading()

    def _refuse(self, reason: str) -> None:
        """Answer 502. A request that is still arriving is read to its end, or a reset could overtake the answer."""
        body = json.dumps({"error": f"inferwatch sidecar: upstream {self._settings.upstream_http} {reason}"}).encode()
        head = (
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        uploading = self.watch.uploading
        self.send(head.encode() + body)
        self.watch.upstream_refused()
        self._refused = True
        self._early.clear()
        if uploading:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()


class _Upstream(asyncio.Protocol):
    """Triton's connection."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        self._client.send(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.upstream_lost(error)

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()
