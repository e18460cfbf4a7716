"""The port for those who run the scraper: is it alive, does it hear every server, what has it counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from ingest.errors import ListenError
from ingest.listening import listen
from ingest.scraper.metrics import exposition
from ingest.scraper.outbox import OutboxStats
from ingest.scraper.settings import ScraperSettings
from ingest.scraper.watched import Watched


class Admin:
    """Serves `/healthz`, `/metrics`, and `/readyz`, which says of each server why the last look at it failed."""

    def __init__(
        self, settings: ScraperSettings, watched: Sequence[Watched], outbox: Callable[[], OutboxStats]
    ) -> None:
        self._settings = settings
        self._watched = watched
        self._outbox = outbox
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
        ready = all(one.problem is None and one.last_success is not None for one in self._watched)
        body = {
            "status": "ready" if ready else "not ready",
            "servers": {one.server.metrics: _state(one) for one in self._watched},
        }
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = exposition(self._watched, self._outbox())
        return web.Response(text=text, content_type="text/plain", charset="utf-8")


def _state(watched: Watched) -> str:
    if watched.problem is not None:
        return watched.problem
    return "not asked yet" if watched.last_success is None else "answers"
