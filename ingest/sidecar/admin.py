"""The port for those who run the sidecar: is it alive, can it reach Triton, what has it counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from ingest.counters import exposition
from ingest.errors import ListenError
from ingest.listening import listen
from ingest.sidecar.metrics import MetricName
from ingest.sidecar.settings import SidecarSettings, split_address

_PROBE_SECONDS: Final = 2.0


class Admin:
    """Serves `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, settings: SidecarSettings, values: Callable[[], Mapping[MetricName, int]]) -> None:
        self._settings = settings
        self._values = values
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
            return await listen(self._runner, "admin_port", self._settings.host, self._settings.admin_port)
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
        names = ("upstream_http", "upstream_grpc")
        reasons = await asyncio.gather(*(_probe(name, getattr(self._settings, name)) for name in names))
        upstreams = {name: reason or "reachable" for name, reason in zip(names, reasons, strict=True)}
        ready = not any(reasons)
        body = {"status": "ready" if ready else "not ready", **upstreams}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=exposition(self._values()), content_type="text/plain", charset="utf-8")


async def _probe(name: str, address: str) -> str | None:
    """Return why an address cannot be reached, None where it can."""
    host, port = split_address(name, address)
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"{address} did not accept a connection within {_PROBE_SECONDS:g} s"
    except OSError as error:
        return f"{address} cannot be reached: {error.strerror or error}"
    writer.close()
    return None
