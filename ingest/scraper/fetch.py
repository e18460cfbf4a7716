"""One look at one server, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from ingest.errors import ContentError, ScrapeError
from ingest.scraper.exposition import read_exposition
from ingest.scraper.readings import Answers
from ingest.scraper.settings import ServerAddress
from ingest.scraper.statistics import read_statistics

MOST_BYTES: Final = 32 << 20
"""Of one answer: a thousand models in ten versions each are less."""


async def look(session: aiohttp.ClientSession, server: ServerAddress) -> Answers:
    """Return what a server says now.

    Raises:
        ScrapeError: it does not answer, refuses, or says something that cannot be read.
    """
    metrics = _get(session, f"http://{server.metrics}/metrics", server.metrics)
    try:
        if server.statistics is None:
            return await asyncio.to_thread(_read, await metrics)
        statistics = _get(session, f"http://{server.statistics}/v2/models/stats", server.metrics)
        bodies = await asyncio.gather(metrics, statistics)
        return await asyncio.to_thread(_read, *bodies)
    except ContentError as error:
        raise ScrapeError(server.metrics, str(error)) from error


def _read(metrics: bytes, statistics: bytes | None = None) -> Answers:
    told = read_exposition(metrics.decode("utf-8", "replace"))
    return Answers(told, None if statistics is None else read_statistics(statistics))


async def _get(session: aiohttp.ClientSession, url: str, server: str) -> bytes:
    body = bytearray()
    try:
        async with session.get(url) as response:
            if response.status != 200:
                raise ScrapeError(server, f"{url} answers {response.status}")
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > MOST_BYTES:
                    raise ScrapeError(server, f"{url} answers with more than {MOST_BYTES} bytes")
    except TimeoutError as error:
        raise ScrapeError(server, f"{url} does not answer in time") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ScrapeError(server, f"{url}: {error or type(error).__name__}") from error
    return bytes(body)
