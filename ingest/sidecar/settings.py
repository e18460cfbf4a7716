"""Settings of a sidecar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from inferwatch.settings import MirrorSettings
from ingest.errors import SettingError
from ingest.tls import ClientTls, ServerTls

_LOCAL_BROKER: Final = MirrorSettings("127.0.0.1:9092", max_bytes=64 << 20)


@dataclass(frozen=True, slots=True)
class SidecarSettings:
    """Where a sidecar listens, what it stands in front of, and how much it may hold.

    Attributes:
        host: address that all three ports listen on.
        http_port: port for HTTP clients; 0 takes a free one, here and below.
        grpc_port: port for gRPC clients.
        admin_port: port for `/healthz`, `/readyz` and `/metrics`.
        upstream_http: Triton's HTTP address, `host:port`.
        upstream_grpc: Triton's gRPC address, `host:port`.
        mirror: where events go.
        capture_bytes: most bytes of one request or one response that are kept for its event.
        environment: `deployment.environment.name` of requests that do not say.
        service: `service.name` of requests that do not say.
        team: team of requests that do not say.
        max_held_bytes: captured bytes of all requests that are under way; of more, only sizes and times are kept.
        max_pending: exchanges that may wait to be parsed before the oldest are dropped.
        max_pending_bytes: captured bytes that may wait to be parsed before the oldest exchanges are dropped.
        tls: certificate that clients are shown on the HTTP and gRPC ports; without it they are spoken to in plain.
        upstream_tls: how Triton's certificate is checked; without it Triton is spoken to in plain.
        strip_headers: whether `x-inferwatch-*` headers of requests stay here instead of going on to Triton.
        connect_timeout: seconds Triton has to accept a connection.
        drain_timeout: seconds that running requests have to finish after a stop.
        stream_idle: seconds without a further response after which a request of a gRPC stream counts as finished
            where its model never said that it is.
    """

    host: str = "127.0.0.1"
    http_port: int = 9000
    grpc_port: int = 9001
    admin_port: int = 9002
    upstream_http: str = "127.0.0.1:8000"
    upstream_grpc: str = "127.0.0.1:8001"
    mirror: MirrorSettings = field(default=_LOCAL_BROKER)
    capture_bytes: int = 1 << 20
    environment: str = "default"
    service: str = ""
    team: str = ""
    max_held_bytes: int = 128 << 20
    max_pending: int = 2_048
    max_pending_bytes: int = 64 << 20
    tls: ServerTls | None = None
    upstream_tls: ClientTls | None = None
    strip_headers: bool = False
    connect_timeout: float = 5.0
    drain_timeout: float = 10.0
    stream_idle: float = 10.0

    def __post_init__(self) -> None:
        for name in ("http_port", "grpc_port", "admin_port"):
            if not 0 <= getattr(self, name) <= 65_535:
                raise SettingError(name, getattr(self, name), "a port from 0 to 65535")
        for name in ("upstream_http", "upstream_grpc"):
            split_address(name, getattr(self, name))
        for name in ("capture_bytes", "max_held_bytes", "max_pending", "max_pending_bytes"):
            if getattr(self, name) < 1:
                raise SettingError(name, getattr(self, name), "a number of at least 1")
        for name in ("connect_timeout", "drain_timeout", "stream_idle"):
            if getattr(self, name) <= 0:
                raise SettingError(name, getattr(self, name), "seconds, more than 0")


def split_address(name: str, address: str) -> tuple[str, int]:
    """Return host and port of `host:port`; `name` is the setting that holds it.

    Raises:
        SettingError: it is not of that form; a scheme or a path is not wanted.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise SettingError(name, address, "host:port, such as 127.0.0.1:8000")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise SettingError(name, address, f"host:port with a name that can be looked up: {error}") from error
    return host.removeprefix("[").removesuffix("]"), int(port)
