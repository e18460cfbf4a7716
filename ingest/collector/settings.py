"""Settings of a collector."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import SettingError
from ingest.tls import ServerTls


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Where a collector listens, whom it lets in, and how much it may hold.

    Attributes:
        bootstrap_servers: Kafka brokers, `host:port[,host:port…]`.
        security: librdkafka settings such as `security.protocol` and `sasl.*`.
        host: address that both ports listen on.
        http_port: port for HTTP; 0 takes a free one, here and below.
        grpc_port: port for OTLP over gRPC.
        tls: certificate of both ports; None is plain text.
        api_keys: file with API keys; None lets everyone in.
        open: whether everyone is let in also where others than this machine can connect.
        environment: `deployment.environment.name` of what does not say.
        max_body_bytes: most bytes of one request, after decompression.
        max_text_characters: text of one message part beyond this is cut, as the SDK does.
        requests_per_second: most requests of one key, on average; 0 is no limit, here and below.
        bytes_per_second: most bytes of one key, decompressed, on average.
        in_flight_bytes: bytes held at a time, of requests that are read and of records that Kafka has not acknowledged.
        body_seconds: longest that a body may take to arrive.
        ack_seconds: longest that an answer waits for Kafka; less than the 10 s for which OTLP's exporters wait.
        delivery_seconds: longest that Kafka is tried for a record; longer than `ack_seconds`, so that who tries again
            finds out what became of the first attempt.
        remembered_requests: most requests that are recognised when they come again.
        remembered_bytes: most bytes of the answers that are kept for them.
        join_seconds: longest that half an inference waits for its other half.
        session_seconds: how long a collector that was killed keeps halves from the others.
        join_bytes: bytes of such halves held in memory; beyond, the oldest wait no longer.
        drain_seconds: longest that running requests and the joiner may take after a stop, and then what is queued.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    security: dict[str, str] = field(default_factory=dict, repr=False)
    host: str = "127.0.0.1"
    http_port: int = 4318
    grpc_port: int = 4317
    tls: ServerTls | None = None
    api_keys: Path | None = None
    open: bool = False
    environment: str = "default"
    max_body_bytes: int = 16 << 20
    max_text_characters: int = 65_536
    requests_per_second: int = 0
    bytes_per_second: int = 0
    in_flight_bytes: int = 128 << 20
    body_seconds: float = 30.0
    ack_seconds: float = 8.0
    delivery_seconds: float = 60.0
    remembered_requests: int = 10_000
    remembered_bytes: int = 64 << 20
    join_seconds: float = 60.0
    session_seconds: float = 10.0
    join_bytes: int = 64 << 20
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("http_port", "grpc_port"):
            if not 0 <= getattr(self, name) <= 65_535:
                raise SettingError(name, getattr(self, name), "a port from 0 to 65535")
        for name in ("max_body_bytes", "max_text_characters", "remembered_requests", "remembered_bytes", "join_bytes"):
            if getattr(self, name) < 1:
                raise SettingError(name, getattr(self, name), "a number of at least 1")
        for name in ("requests_per_second", "bytes_per_second"):
            if getattr(self, name) < 0:
                raise SettingError(name, getattr(self, name), "a number of at least 0")
        for name in (
            "body_seconds",
            "ack_seconds",
            "delivery_seconds",
            "join_seconds",
            "session_seconds",
            "drain_seconds",
        ):
            if getattr(self, name) <= 0:
                raise SettingError(name, getattr(self, name), "seconds, more than 0")
        if self.in_flight_bytes < 2 * self.max_body_bytes:
            raise SettingError("in_flight_bytes", self.in_flight_bytes, "at least twice max_body_bytes")

    @property
    def guarded(self) -> bool:
        """Whether strangers are kept out: by keys, by loopback, or, as somebody said, by something else."""
        return self.api_keys is not None or self.open or _is_loopback(self.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
