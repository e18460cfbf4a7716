"""The embedded store as one process: it owns a folder and answers ClickHouse's HTTP interface.

Life of the process:

1. The folder is locked, the port taken, the engine opened, in this order; each failure is named.
2. Requests are answered until SIGTERM or SIGINT.
3. Nobody is let in any more; what runs may finish for `GRACE_SECONDS`, then it is cancelled. An insert that was not
   answered may be there or not, as with any server that goes away, and in
   part only where it is larger than one block (see `engine_defaults`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable

from aiohttp import web

from storage.addresses import is_loopback
from storage.embedded.engine import Engine
from storage.embedded.errors import PortInUse
from storage.embedded.handler import Handler
from storage.embedded.pathlock import owned
from storage.embedded.places import Places
from storage.embedded.settings import MIB, EmbeddedSettings
from storage.embedded.spool import Room

log = logging.getLogger(__name__)

GRACE_SECONDS = 3.0
_CANCEL_SECONDS = 1.0
_SPOOL_NAME = "inferwatch-incoming"
# As ClickHouse's http_max_uri_size: bound parameters travel in the URL.
_LONGEST_LINE = MIB


def serve(settings: EmbeddedSettings, on_ready: Callable[[str], None] | None = None) -> None:
    """Run the store until SIGTERM or SIGINT. Call it on the main thread of a process of its own.

    Parameters
    ----------
    on_ready
        Called with the URL as soon as requests are answered.

    Raises
    ------
    PathInUse, PortInUse, EngineMissing, EngineFailed
        The store cannot start.
    """
    # Times without a zone mean UTC, on whatever machine this runs; the engine looks here when it opens.
    os.environ["TZ"] = "UTC"
    time.tzset()
    with owned(settings.path), _listening(settings.host, settings.port) as listener:
        spool = settings.path / _SPOOL_NAME
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir()
        engine = Engine(settings.path, engine_defaults(settings))
        room = Room(spool, settings.spool_memory_bytes)
        asyncio.run(_serve(settings, engine, listener, room, on_ready))
        if engine.busy:
            # A thread inside the engine cannot be ended; leaving it behind is what kill does, and is safe.
            log.warning("Stopping with %d statements unfinished; none of them was acknowledged", engine.busy)
            logging.shutdown()
            os._exit(0)
        engine.close()


def engine_defaults(settings: EmbeddedSettings) -> dict[str, str]:
    """Engine settings every statement starts with; a request may override each of them."""
    return {
        "max_execution_time": str(settings.max_execution_seconds),
        "max_memory_usage": str(settings.max_memory_bytes),
        "max_memory_usage_for_user": str(settings.max_memory_bytes),
        "log_queries": "0",
        # An answered insert is in the table, as one part a partition, up to about a million rows or 512 MiB.
        "async_insert": "0",
        "max_insert_threads": "1",
        "min_insert_block_size_rows": str(MIB),
        "min_insert_block_size_bytes": str(512 * MIB),
    }


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise PortInUse(host, port, error.strerror or str(error)) from error


async def _serve(
    settings: EmbeddedSettings,
    engine: Engine,
    listener: socket.socket,
    room: Room,
    on_ready: Callable[[str], None] | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    places = Places(settings.max_concurrent_queries, settings.max_concurrent_writes, settings.max_waiting_requests)
    app = web.Application()
    app.add_routes(Handler(engine, settings, places, room).routes())
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        read_bufsize=MIB,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        shutdown_timeout=_CANCEL_SECONDS,
        # Nobody works on for a client that left.
        handler_cancellation=True,
    )
    await runner.setup()
    site = web.SockSite(runner, listener)
    await site.start()
    url = f"http://{settings.host}:{listener.getsockname()[1]}"
    if settings.user is None and not is_loopback(settings.host):
        log.warning("Anybody who reaches %s can read and change the store: set a user and a password", url)
    log.info("Store at %s answers on %s (ClickHouse engine %s)", settings.path, url, engine.version)
    if on_ready is not None:
        on_ready(url)
    await stop.wait()
    log.info("Store at %s stops", settings.path)
    await site.stop()
    places.close()
    if not await asyncio.to_thread(engine.wait_until_idle, GRACE_SECONDS):
        await asyncio.to_thread(engine.cancel_all)
        await asyncio.to_thread(engine.wait_until_idle, _CANCEL_SECONDS)
    await runner.cleanup()
    places.abandon()
