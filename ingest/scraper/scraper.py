"""The scraper, put together: a task for each server, an outbox to Kafka, and the port that tells how it goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp

from inferwatch.clock import Clock, SystemClock
from inferwatch.kafka import KafkaTransport
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Report
from ingest.admin import Admin, Readiness
from ingest.errors import ScrapeError
from ingest.scraper.fetch import look
from ingest.scraper.metrics import exposition
from ingest.scraper.outbox import NewTransport, Outbox
from ingest.scraper.readiness import readiness
from ingest.scraper.settings import ScraperSettings
from ingest.scraper.watched import Watched

log: Final = logging.getLogger(__name__)

_PATIENCE_WITH_KAFKA: Final = 86_400.0
"""Seconds that a sample may wait in librdkafka, the longest that a mirror may have: one that was given up is lost, for
nobody knows whether Kafka has it."""


class Scraper:
    """Watches servers.

    `async with Scraper(settings) as scraper:` watches, and tells how it goes at `scraper.port`, until the block ends.
    """

    def __init__(
        self, settings: ScraperSettings, *, new_transport: NewTransport | None = None, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self.watched = tuple(Watched(server, settings.environment) for server in settings.servers)
        self.outbox = Outbox(
            settings.max_samples, new_transport or _kafka(settings), settings.flush_timeout, self._clock
        )
        self._admin = Admin(settings.host, settings.admin_port, self._readiness, self._metrics)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0

    async def start(self) -> int:
        """Begin; return the admin port.

        Raises:
            ListenError: the admin port cannot be listened on; nothing was begun.
        """
        self.port = await self._admin.start()
        self.outbox.start()
        timeout = aiohttp.ClientTimeout(total=min(self._settings.timeout, self._settings.interval))
        self._session = aiohttp.ClientSession(timeout=timeout)
        self._tasks = [asyncio.create_task(self._watch(self._session, one)) for one in self.watched]
        return self.port

    async def until(self, stop: asyncio.Event) -> None:
        """Wait until `stop` is set. An error that nobody foresaw is raised, not outlived."""
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopped, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stopped.cancel()

    async def stop(self) -> None:
        """Look at no server any more, send what waits, and only then stop telling how it goes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await asyncio.to_thread(self.outbox.close)
        await self._admin.stop()

    async def _readiness(self) -> Readiness:
        return readiness(self.watched)

    def _metrics(self) -> str:
        return exposition(self.watched, self.outbox.stats())

    async def __aenter__(self) -> Scraper:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _watch(self, session: aiohttp.ClientSession, watched: Watched) -> None:
        began, interval = self._clock.elapsed(), self._settings.interval
        while True:
            try:
                answers = await look(session, watched.server)
            except ScrapeError as error:
                if watched.problem is None:
                    log.warning("%s; it is tried again every %g s", error, interval)
                watched.missed(error)
            else:
                if watched.problem is not None:
                    log.info("%s answers again", watched.server.metrics)
                self.outbox.put(watched.answered(self._clock, answers))
            await asyncio.sleep(interval - (self._clock.elapsed() - began) % interval)


async def run(settings: ScraperSettings, stop: asyncio.Event, *, started: Callable[[int], None] | None = None) -> None:
    """Watch until `stop` is set. `started` is told the admin port once it listens.

    Raises:
        ListenError: the admin port cannot be listened on.
    """
    async with Scraper(settings) as scraper:
        if started is not None:
            started(scraper.port)
        await scraper.until(stop)


def _kafka(settings: ScraperSettings) -> NewTransport:
    given = MirrorSettings(
        settings.bootstrap_servers,
        service="scraper",
        environment=settings.environment,
        delivery_timeout=_PATIENCE_WITH_KAFKA,
        kafka=dict(settings.kafka),
    )

    def new_transport(report: Report) -> KafkaTransport:
        return KafkaTransport(given, report)

    return new_transport
