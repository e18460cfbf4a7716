"""The port for those who run a service: is it alive, is it ready, what has it counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ingest.errors import ListenError
from ingest.listening import listen


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a service can do its work, and what it says of each thing that it needs."""

    ready: bool
    says: dict[str, Any]


class Admin:
    """Serves `/healthz`, `/readyz` (503 where the service is not ready) and `/metrics`."""

    def __init__(
        self, host: str, port: int, readiness: Callable[[], Awaitable[Readiness]], metrics: Callable[[], str]
    ) -> None:
        self._host = host
        self._port = port
        self._readiness = readiness
        self._text = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen and return the port.

        Raises:
            ListenError: the address cannot be listened on; `PortTakenError` where something else does.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            return await listen(self._runner, "admin_port", self._host, self._port)
        except ListenError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _ready(self, _request: web.Request) -> web.Response:
        found = await self._readiness()
        body = {"status": "ready" if found.ready else "not ready", **found.says}
        return web.json_response(body, status=200 if found.ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._text(), content_type="text/plain", charset="utf-8")
