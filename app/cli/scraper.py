"""`inferwatch scraper`."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final

import click

from app import settings


@click.command()
def scraper() -> None:
    """Watch what Triton says of itself: queue, compute, failures, GPUs, energy.

    INFERWATCH_TRITON_METRICS names where servers tell their metrics, with commas between them, and
    INFERWATCH_TRITON_STATISTICS their HTTP API, in the same order, or `none`.
    """
    from ingest.scraper.scraper import run

    async def until_stopped() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(settings.load(os.environ).scraper, stop)

    asyncio.run(until_stopped())


COMMANDS: Final = (scraper,)
