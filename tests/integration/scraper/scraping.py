"""A scraper that keeps its samples, and what they add up to."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp

from inferwatch import ServerSample, topics
from inferwatch.transport import MemoryTransport, Report
from inferwatch.wire import decode_telemetry
from ingest.scraper.scraper import Scraper
from ingest.scraper.settings import ScraperSettings, ServerAddress
from tests.support.waiting import until

DEADLINE = 60.0
INTERVAL = 0.1
"""Of scrapers in tests; Triton's own counters are new at each request."""


class Kept:
    """A transport that keeps what a scraper sends."""

    def __init__(self) -> None:
        self._transports: list[MemoryTransport] = []

    def __call__(self, report: Report) -> MemoryTransport:
        self._transports.append(MemoryTransport(report))
        return self._transports[-1]

    @property
    def samples(self) -> list[ServerSample]:
        """Every sample so far, in order."""
        values = [value for transport in self._transports for value in transport.values(topics.TELEMETRY)]
        decoded = [decode_telemetry(value) for value in values]
        return [one for one in decoded if isinstance(one, ServerSample)]

    def of(self, model: str) -> list[ServerSample]:
        """The samples of one model."""
        return [one for one in self.samples if one.model == model]


@contextlib.asynccontextmanager
async def scraping(servers: Sequence[ServerAddress], **changes: Any) -> AsyncIterator[tuple[Scraper, Kept]]:
    """Watch servers; returns once each was looked at."""
    kept = Kept()
    given: dict[str, Any] = {"interval": INTERVAL, "timeout": 5.0, "admin_port": 0, "environment": "prod"}
    settings = ScraperSettings(servers=tuple(servers), **{**given, **changes})
    async with Scraper(settings, new_transport=kept) as scraper:
        await until(lambda: all(one.scrapes for one in scraper.watched), "a first look at each server")
        yield scraper, kept


async def asked(scraper: Scraper, path: str) -> tuple[int, str]:
    """Return status and body of the admin port."""
    url = f"http://127.0.0.1:{scraper.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


def failures(samples: Sequence[ServerSample]) -> Counter[str]:
    """Failures of all samples, by reason."""
    found: Counter[str] = Counter()
    for one in samples:
        found.update(one.failures)
    return found
