"""`inferwatch scraper`."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Final

import click

from app import settings
from app.cli.listening import until_stopped

log: Final = logging.getLogger("inferwatch.scraper")


@click.command()
def scraper() -> None:
    """Watch what Triton says of itself: queue, compute, failures, GPUs, energy.

    INFERWATCH_TRITON_METRICS names where servers tell their metrics, with commas between them, and
    INFERWATCH_TRITON_STATISTICS their HTTP API, in the same order, or `none`.
    """
    from ingest.scraper.scraper import run

    loaded = settings.load(os.environ).scraper

    def started(port: int) -> None:
        watched = ", ".join(server.metrics for server in loaded.servers)
        log.info("Watching %s; metrics on %s:%d, Kafka at %s", watched, loaded.host, port, loaded.bootstrap_servers)

    async def serve(stop: asyncio.Event) -> None:
        await run(loaded, stop, started=started)

    asyncio.run(until_stopped("the scraper", serve, {"admin_port": "INFERWATCH_SCRAPER_PORT"}))


COMMANDS: Final = (scraper,)
