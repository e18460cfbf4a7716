"""The collector, put together: both ports, what stands behind them, and the joiner of CloudEvents."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from inferwatch.clock import Clock, SystemClock
from ingest.api_keys.ring import KeyRing
from ingest.collector.admission import InFlight, Rates
from ingest.collector.cloudevents.joiner import Joiner
from ingest.collector.desk import Desk
from ingest.collector.http_api import HttpApi
from ingest.collector.intake import Intake
from ingest.collector.kafka_outlet import KafkaOutlet
from ingest.collector.metrics import Counters
from ingest.collector.otlp.grpc_server import GrpcServer
from ingest.collector.settings import CollectorSettings
from ingest.collector.ways import WAYS
from ingest.errors import KeysRequired, OutletFailed
from ingest.listening import listen
from ingest.tls import server_context

_PROBE_SECONDS: Final = 2.0
_MOST_HEADER_BYTES: Final = 32 << 10


class _NotOfSenders(logging.Filter):
    """Leaves out what aiohttp says of bytes that are no HTTP: they are answered with 400, and it quotes them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is kept."""
        return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


_log: Final = logging.getLogger("inferwatch.collector.http")
_log.addFilter(_NotOfSenders())


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running collector listens."""

    http: int
    grpc: int


class Collector:
    """Takes telemetry over HTTP and gRPC and answers once Kafka has it.

    `async with Collector(settings) as collector:` listens on `collector.ports` until the block ends, then drains.
    """

    def __init__(self, settings: CollectorSettings, *, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self.counters = Counters()
        self.ports = Ports(0, 0)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outlet: KafkaOutlet | None = None
        self._http: web.AppRunner | None = None
        self._grpc: GrpcServer | None = None
        self._joiner: tuple[Joiner, asyncio.Task[None]] | None = None

    async def start(self) -> Ports:
        """Listen on both ports.

        Raises:
            KeysRequired: others could connect, and there are no API keys.
            KeyFileError: the file with API keys cannot be used.
            SettingError: the certificate or its key cannot be used.
            ListenError: an address cannot be listened on; nothing is left listening.
        """
        settings = self._settings
        if not settings.guarded:
            raise KeysRequired(settings.host)
        ring = None if settings.api_keys is None else KeyRing(settings.api_keys, self._clock)
        tls = server_context(settings.tls, "http/1.1")
        self._outlet = outlet = KafkaOutlet(settings, self.counters, self._outlet_failed)
        in_flight = InFlight(settings.in_flight_bytes)
        desk = Desk(
            settings=settings,
            ring=ring,
            rates=Rates(settings.requests_per_second, settings.bytes_per_second, self._clock),
            in_flight=in_flight,
            intake=Intake(
                outlet,
                in_flight,
                self.counters,
                settings.ack_seconds,
                settings.remembered_requests,
                settings.remembered_bytes,
            ),
            counters=self.counters,
            clock=self._clock,
            large=asyncio.Lock(),
        )
        self._grpc = GrpcServer(desk)
        try:
            self.ports = Ports(await self._listen_http(desk, tls), await self._grpc.start())
        except BaseException:
            await self.stop()
            raise
        joiner = Joiner(settings, outlet, self.counters, self._clock)
        self._joiner = (joiner, asyncio.create_task(joiner.run()))
        self._joiner[1].add_done_callback(self._joiner_ended)
        return self.ports

    async def stop(self) -> None:
        """Stop in this order: accept no more, let running requests and the joiner finish, send what is queued."""
        http = () if self._http is None else (self._http.cleanup(),)
        grpc = () if self._grpc is None else (self._grpc.stop(self._settings.drain_seconds),)
        await asyncio.gather(*http, *grpc, self._end_joiner())
        if self._outlet is not None:
            await self._outlet.close(self._settings.drain_seconds)

    async def __aenter__(self) -> Collector:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _listen_http(self, desk: Desk, tls: ssl.SSLContext | None) -> int:
        settings = self._settings
        api = HttpApi(desk, WAYS, self._ready)
        self._http = web.AppRunner(
            api.app,
            access_log=None,
            logger=_log,
            auto_decompress=False,
            shutdown_timeout=settings.drain_seconds,
            max_field_size=_MOST_HEADER_BYTES,
        )
        await self._http.setup()
        return await listen(self._http, "http_port", settings.host, settings.http_port, tls)

    async def _ready(self) -> bool:
        return self._outlet is not None and await self._outlet.reachable(_PROBE_SECONDS)

    async def _end_joiner(self) -> None:
        """Let the joiner finish its round; without Kafka that takes too long, and the next owner does it again."""
        if self._joiner is not None:
            joiner, task = self._joiner
            joiner.stop()
            await asyncio.wait((task,), timeout=self._settings.drain_seconds)
            task.cancel()
            await asyncio.wait((task,))

    def _joiner_ended(self, task: asyncio.Task[None]) -> None:
        """An error of the joiner's own ends the collector: nobody else would notice that halves wait for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failed.done():
            self.failed.set_exception(error)

    def _outlet_failed(self, reason: str) -> None:
        if not self.failed.done():
            self.failed.set_exception(OutletFailed(reason))


async def run(
    settings: CollectorSettings, stop: asyncio.Event, *, started: Callable[[Ports], None] | None = None
) -> None:
    """Run a collector until `stop` is set, then drain it. `started` is told the ports once both listen.

    Raises:
        IngestError: it cannot start, see `Collector.start`, or `OutletFailed`: Kafka's client has failed for good.
    """
    async with Collector(settings) as collector:
        if started is not None:
            started(collector.ports)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((stopped, collector.failed), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if collector.failed.done():
            await collector.failed
