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
    consumer = app.consumer
    assigned = sorted(consumer.assignment()) if consumer is not None else []
    committed: Any = getattr(consumer, "_committed_offset", {})
    lag = {}
    for tp in assigned:
        end = consumer.highwater(tp)
        if end is not None:
            # Faust's monitor learns of offsets with the first commit only, which a store that is away holds up.
            lag[_name(tp)] = max(end - (committed[tp] or 0), 0)
    return {"role": role, "partitions": [_name(tp) for tp in assigned], "lag": lag}


def _name(tp: TP) -> str:
    return f"{tp.topic}-{tp.partition}"
