"""A client's connection and the one to upstream that goes with it; bytes pass as their watch lets them.

Because connections are paired one to one there is nothing to translate: keep-alive, chunks, trailers, flow control,
upgrades and early responses are between client and upstream. Only two things differ from no proxy at all: responses to
inferences carry one more header, and an upstream that cannot be reached is told in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from ingest.sidecar.settings import split_address
from ingest.sidecar.watch import Watch

_WRITE_BUFFER_BYTES: Final = 256 << 10
_LINGER_SECONDS: Final = 2.0
"""How long a client is read that has its answer and goes on sending: closed before, it might never see the answer."""
TLS_SHUTDOWN_SECONDS: Final = 1.0
"""How long a side is read that was told by TLS that the connection is over and has not said so itself."""
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where connections go: the setting that names it, its `host:port`, TLS, and seconds it has to accept."""

    setting: str
    address: str
    tls: ssl.SSLContext | None
    server_name: str | None
    connect_timeout: float


class ClientConnection(asyncio.Protocol):
    """The client's connection. Upstream's is opened with the first bytes, so a bare TCP check costs it nothing."""

    def __init__(
        self,
        watch: Watch,
        upstream: Upstream,
        opened: Callable[[ClientConnection], None],
        closed: Callable[[ClientConnection], None],
    ) -> None:
        self.watch = watch
        self._to = upstream
        self._opened = opened
        self._closed = closed
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self._upstream: asyncio.Transport | None = None
        self._refused = ""
        self._over = False
        self._client_ended = False
        self._upstream_full = False
        self._crowded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        pieces = self.watch.request(data)
        if self._refused:
            self._answer_refused()
            return
        if self._upstream is not None:
            for piece in pieces:
                self._upstream.write(piece)
        else:
            self._early += pieces
            if self._connecting is None:
                self._transport.pause_reading()
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
        self._look_at_watch()

    def eof_received(self) -> bool:
        """Pass a half-close on; upstream decides what it means."""
        if self._upstream is None or not self._upstream.can_write_eof() or not self._transport.can_write_eof():
            return False  # TLS has no half-close here: the connection ends
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

    def say_farewell(self) -> None:
        """Ask the client, where its protocol can, to begin no further requests."""
        farewell = self.watch.farewell()
        if farewell and not self._over:
            self._transport.write(farewell)

    def close(self) -> None:
        """Say farewell and close once what was written has gone out."""
        if not self._transport.is_closing():
            self.say_farewell()
            self._transport.close()

    def abort(self) -> None:
        """Close now; what is under way ends as it does where upstream breaks off."""
        if self.watch.ends_with_connection:
            # An orderly end would make a complete response of what has passed.
            sock = self._transport.get_extra_info("socket")
            if sock is not None:  # uvloop has none of a connection that is over
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.watch.upstream_gone(cut=True)
        self._transport.abort()

    def send(self, data: bytes) -> None:
        """Pass bytes from upstream on."""
        if not self._transport.is_closing():
            for piece in self.watch.response(data):
                self._transport.write(piece)
            self._look_at_watch()

    def upstream_full(self, full: bool) -> None:
        """See whether upstream takes no more for now."""
        self._upstream_full = full
        self._read_or_wait()

    def upstream_lost(self, error: Exception | None) -> None:
        """Let the client see what it would see without a proxy, or a reason where it would see no response at all."""
        self._upstream = None
        if self._transport.is_closing():
            return
        if self._client_ended and not self.watch.ends_with_connection:
            self.watch.client_gone()
            self._transport.close()
            return
        if self.watch.unanswered:
            self._refuse("closed the connection before it answered")
            return
        if error is not None and self.watch.ends_with_connection:
            self.abort()
            return
        self.watch.upstream_gone()
        if self.watch.uploading and self._transport.can_write_eof():
            self._transport.write_eof()
            self._linger()
        else:
            self.close()  # TLS goes on reading until the client has closed too
        self._over = True

    def _look_at_watch(self) -> None:
        if self.watch.broken:
            self.abort()
        elif self.watch.crowded is not self._crowded:
            self._crowded = self.watch.crowded
            self._read_or_wait()

    def _read_or_wait(self) -> None:
        if self._upstream is None or self._transport.is_closing():
            return
        if self._crowded or self._upstream_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def _connect(self) -> None:
        host, port = split_address(self._to.setting, self._to.address)
        loop = asyncio.get_running_loop()
        tls, name = self._to.tls, self._to.server_name if self._to.tls else None
        try:
            async with asyncio.timeout(self._to.connect_timeout):
                upstream, _ = await loop.create_connection(
                    lambda: _UpstreamConnection(self),
                    host,
                    port,
                    ssl=tls,
                    server_hostname=name,
                    ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS if tls else None,
                )
        except TimeoutError:
            self._refuse(f"did not accept a connection within {self._to.connect_timeout:g} s")
        except (OSError, ValueError) as error:  # the latter for names that cannot be any
            self._refuse(f"cannot be reached: {getattr(error, 'strerror', None) or error}")
        else:
            self._upstream = upstream
            for data in self._early:
                upstream.write(data)
            self._early.clear()
            self._read_or_wait()

    def _refuse(self, reason: str) -> None:
        """Tell the client why. A request that is still arriving is read on, or a reset could overtake the answer."""
        self._refused = f"inferwatch sidecar: upstream {self._to.address} {reason}"
        self._early.clear()
        uploading = self.watch.uploading
        self._answer_refused()
        if uploading:
            self._linger()
        else:
            self._transport.close()

    def _linger(self) -> None:
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)

    def _answer_refused(self) -> None:
        if not self._transport.is_closing():
            for piece in self.watch.refuse(self._refused):
                self._transport.write(piece)


class _UpstreamConnection(asyncio.Protocol):
    """Upstream's connection."""

    def __init__(self, client: ClientConnection) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        self._client.send(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.upstream_lost(error)

    def pause_writing(self) -> None:
        self._client.upstream_full(True)

    def resume_writing(self) -> None:
        self._client.upstream_full(False)
