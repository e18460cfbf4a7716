"""The sidecar, put together: two proxies, what watches them, and the port that tells how it goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, Literal

from inferwatch.clock import Clock, SystemClock
from inferwatch.delivery import TransportFactory
from inferwatch.mirror import Mirror
from inferwatch.settings import MirrorSettings
from ingest.admin import Admin, Readiness
from ingest.counters import exposition
from ingest.sidecar.budget import Budget, Keeping
from ingest.sidecar.grpc_watch import GrpcWatch
from ingest.sidecar.http_watch import HttpWatch
from ingest.sidecar.listener import Listener
from ingest.sidecar.metrics import METRIC_NAMES, Counters, MetricName
from ingest.sidecar.parse import Defaults
from ingest.sidecar.parse_queue import ParseQueue
from ingest.sidecar.pipe import Upstream
from ingest.sidecar.readiness import readiness
from ingest.sidecar.recorder import Recorder
from ingest.sidecar.settings import SidecarSettings
from ingest.sidecar.watch import Watch
from ingest.tls import client_context, server_context

_EXPIRY_SECONDS: Final = 1.0
_PARSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running sidecar listens."""

    http: int
    grpc: int
    admin: int


class Sidecar:
    """A reverse proxy in front of Triton that mirrors inferences.

    `async with Sidecar(settings) as sidecar:` listens on `sidecar.ports` until the block ends, then drains.

    Raises:
        SettingError: at construction, when certificates or keys cannot be read.
    """

    def __init__(
        self, settings: SidecarSettings, *, transport: TransportFactory | None = None, clock: Clock | None = None
    ) -> None:
        clock = clock or SystemClock()
        self.counters = Counters()
        self.mirror = _mirror(settings.mirror, transport, clock)
        self._queue = ParseQueue(
            self.mirror.record,
            Defaults(settings.environment, settings.service, settings.team),
            self.counters,
            settings.max_pending,
            settings.max_pending_bytes,
        )
        self._keeping = Keeping(settings.capture_bytes, Budget(settings.max_held_bytes))
        self._recorder = Recorder(self._queue.put, clock, self._keeping, settings.stream_idle)
        self._settings = settings
        self._clock = clock
        self._http = self._listener("http", self._http_watch)
        self._grpc = self._listener("grpc", self._grpc_watch)
        self._admin = Admin(settings.host, settings.admin_port, self._readiness, lambda: exposition(self.metrics()))
        self._expiry: asyncio.Task[None] | None = None
        self.ports = Ports(0, 0, 0)

    async def start(self) -> Ports:
        """Listen on all ports.

        Raises:
            ListenError: one of them cannot be listened on; nothing is left listening.
        """
        self._queue.start()
        try:
            self.ports = Ports(await self._http.start(), await self._grpc.start(), await self._admin.start())
        except BaseException:
            await self.stop()
            raise
        self._expiry = asyncio.create_task(self._expire())
        return self.ports

    async def stop(self) -> None:
        """Stop in this order: accept no more, let running requests finish, parse what is left, flush the mirror."""
        seconds = self._settings.drain_timeout
        await asyncio.gather(self._http.drain(seconds), self._grpc.drain(seconds))
        if self._expiry is not None:
            self._expiry.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._expiry
        await asyncio.to_thread(self._queue.close, _PARSE_SECONDS)
        await asyncio.to_thread(self.mirror.close)
        await self._admin.stop()

    def metrics(self) -> dict[MetricName, int]:
        """Return everything that is counted, by name."""
        values = {name: self.counters[name] for name in METRIC_NAMES}
        stats = self.mirror.stats()
        values["inferwatch_sidecar_recorded_total"] = stats.recorded
        values["inferwatch_sidecar_mirrored_total"] = stats.delivered
        values["inferwatch_sidecar_dropped_total"] = stats.dropped
        values["inferwatch_sidecar_failed_total"] = stats.failed
        values["inferwatch_sidecar_waiting"] = stats.waiting
        values["inferwatch_sidecar_unparsed"] = len(self._queue)
        values["inferwatch_sidecar_http_connections"] = self._http.connections
        values["inferwatch_sidecar_grpc_connections"] = self._grpc.connections
        return values

    async def __aenter__(self) -> Sidecar:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _listener(self, protocol: Literal["http", "grpc"], new_watch: Callable[[], Watch]) -> Listener:
        settings = self._settings
        alpn = "h2" if protocol == "grpc" else "http/1.1"
        upstream = Upstream(
            f"upstream_{protocol}",
            getattr(settings, f"upstream_{protocol}"),
            client_context(settings.upstream_tls, alpn),
            settings.upstream_tls.server_name if settings.upstream_tls else None,
            settings.connect_timeout,
        )
        tls = server_context(settings.tls, alpn)
        port_name = f"{protocol}_port"
        return Listener(port_name, settings.host, getattr(settings, port_name), tls, upstream, new_watch)

    def _http_watch(self) -> Watch:
        return HttpWatch(self._recorder, self._clock, self.counters, strip=self._settings.strip_headers)

    def _grpc_watch(self) -> Watch:
        strip = self._settings.strip_headers
        return GrpcWatch(self._recorder, self._clock, self.counters, self._keeping, strip=strip)

    async def _readiness(self) -> Readiness:
        return await readiness(self._settings)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            self._recorder.expire()


async def run(
    settings: SidecarSettings, stop: asyncio.Event, *, started: Callable[[Ports], None] | None = None
) -> None:
    """Run a sidecar until `stop` is set, then drain it. `started` is told the ports once all of them listen.

    Raises:
        ListenError: an address cannot be listened on.
    """
    async with Sidecar(settings) as sidecar:
        if started is not None:
            started(sidecar.ports)
        await stop.wait()


def _mirror(settings: MirrorSettings, transport: TransportFactory | None, clock: Clock) -> Mirror:
    given = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return Mirror(**given, clock=clock, transport=transport)
