"""Listens for clients of one port and pairs each connection with one to upstream."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from ingest.listening import why_not
from ingest.sidecar.pipe import TLS_SHUTDOWN_SECONDS, ClientConnection, Upstream
from ingest.sidecar.watch import Watch


class Listener:
    """A port of the sidecar; `setting` names the setting that holds it."""

    def __init__(
        self,
        setting: str,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        upstream: Upstream,
        new_watch: Callable[[], Watch],
    ) -> None:
        self._setting = setting
        self._host = host
        self._port = port
        self._tls = tls
        self._upstream = upstream
        self._new_watch = new_watch
        self._server: asyncio.Server | None = None
        self._clients: set[ClientConnection] = set()
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
        loop = asyncio.get_running_loop()
        host, port = self._host, self._port
        try:
            self._server = await loop.create_server(
                self._new_client,
                host,
                port,
                backlog=1024,
                ssl=self._tls,
                ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS if self._tls else None,
            )
        except OSError as error:
            raise why_not(self._setting, host, port, error) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def drain(self, seconds: float) -> None:
        """Accept no more, let running requests finish for at most `seconds`, close the rest."""
        if self._server is None:
            return
        self._draining = True
        await self._stop_accepting(self._server)
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while self._clients and clock() < deadline:
            for client in list(self._clients):
                if client.watch.busy:
                    client.say_farewell()
                else:
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
        return ClientConnection(self._new_watch(), self._upstream, self._opened, self._clients.discard)

    def _opened(self, client: ClientConnection) -> None:
        self._clients.add(client)
        if self._draining:
            client.abort()
