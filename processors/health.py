"""A worker's own small HTTP port on loopback: is it consuming, and how far behind is it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import faust
from aiohttp import web
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

HOST: Final = "127.0.0.1"
_EVERY_SECONDS: Final = 2.0


def serve_health(app: faust.App, role: str, port: int) -> None:
    """Serve `/healthz`: 200 once partitions are assigned, 503 before, with what is assigned and the offsets read."""

    ends: dict[TP, int] = {}

    async def healthz(_request: web.Request) -> web.Response:
        body = state_of(app, role, ends)
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
    app.task(lambda: follow_ends(app, ends))


async def follow_ends(app: faust.App, ends: dict[TP, int]) -> None:
    """Ask Kafka every few seconds where partitions end: a consumer that waits does not fetch, and so does not learn."""
    while not app.should_stop:
        assigned = app.consumer.assignment() if app.consumer is not None else set()
        with suppress(KafkaError, ConsumerNotStarted):
            found = await app.consumer.highwaters(*assigned) if assigned else {}
            ends.clear()
            ends.update(found)
        await app.sleep(_EVERY_SECONDS)


def state_of(app: faust.App, role: str, ends: Mapping[TP, int]) -> dict[str, Any]:
    """Return what the worker consumes and how far it is behind, as JSON. `ends` are as `follow_ends` knows them."""
    consumer = app.consumer
    assigned = sorted(consumer.assignment()) if consumer is not None else []
    committed: Any = getattr(consumer, "_committed_offset", {})
    lag = {}
    for tp in assigned:
        end = max(consumer.highwater(tp) or 0, ends.get(tp, 0))
        # Faust's monitor learns of offsets with the first commit only, which a store that is away holds up.
        lag[_name(tp)] = max(end - (committed[tp] or 0), 0)
    return {"role": role, "partitions": [_name(tp) for tp in assigned], "lag": lag}


def _name(tp: TP) -> str:
    return f"{tp.topic}-{tp.partition}"
