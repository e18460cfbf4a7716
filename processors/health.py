"""A worker's own small HTTP port on loopback: is it consuming, and how far behind is it."""

from __future__ import annotations

from typing import Any, Final

import faust
from aiohttp import web
from faust.types import TP

HOST: Final = "127.0.0.1"


def serve_health(app: faust.App, role: str, port: int) -> None:
    """Serve `/healthz`: 200 once partitions are assigned, 503 before, with what is assigned and the offsets read."""

    async def healthz(_request: web.Request) -> web.Response:
        body = state_of(app, role)
        return web.json_response(body, status=200 if body["partitions"] else 503)

    async def health() -> None:
        site = web.Application()
        site.router.add_get("/healthz", healthz)
        runner = web.AppRunner(site, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()

        async def close() -> None:
            await runner.cleanup()

        app.on_before_shutdown.connect(lambda *_, **__: close(), weak=False)

    app.task(health)


def state_of(app: faust.App, role: str) -> dict[str, Any]:
    """Return what the worker consumes and how far it is behind, as JSON."""
    assigned = sorted(app.consumer.assignment()) if app.consumer is not None else []
    ends, committed = app.monitor.tp_end_offsets, app.monitor.tp_committed_offsets
    lag = {_name(tp): max(ends[tp] - committed[tp], 0) for tp in assigned if tp in ends and tp in committed}
    return {"role": role, "partitions": [_name(tp) for tp in assigned], "lag": lag}


def _name(tp: TP) -> str:
    return f"{tp.topic}-{tp.partition}"
