"""Settings of a scraper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.errors import SettingError


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One Triton.

    Attributes:
        metrics: `host:port` of its metrics; also the name that its samples carry.
        statistics: `host:port` of its HTTP API, for `/v2/models/stats`, which tell of loaded models what the metrics do
            not, such as everything where `counter_latencies` is off; None where only the metrics are to be asked.
    """

    metrics: str
    statistics: str | None = None


@dataclass(frozen=True, slots=True)
class ScraperSettings:
    """Which servers are watched, how often, and how much may wait for Kafka.

    Attributes:
        bootstrap_servers: Kafka brokers, `host:port[,host:port…]`.
        servers: the servers, each of another address.
        environment: `deployment.environment.name` of all of them.
        interval: seconds from one look at a server to the next.
        timeout: seconds that a server has to answer.
        host: address that the admin port listens on.
        admin_port: port for `/healthz`, `/readyz` and `/metrics`; 0 takes a free one.
        max_samples: samples that may wait for Kafka before the oldest are dropped.
        flush_timeout: seconds that the end waits for Kafka.
        kafka: more librdkafka settings, such as TLS and SASL.

    Raises:
        SettingError: a value that cannot work.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    servers: tuple[ServerAddress, ...] = (ServerAddress("127.0.0.1:8002", "127.0.0.1:8000"),)
    environment: str = "default"
    interval: float = 10.0
    timeout: float = 5.0
    host: str = "127.0.0.1"
    admin_port: int = 9003
    max_samples: int = 20_000
    flush_timeout: float = 5.0
    kafka: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        names = [server.metrics for server in self.servers]
        if not names or len(set(names)) < len(names):
            raise SettingError("servers", names, "addresses of metrics, each once")
        if not 0 <= self.admin_port <= 65_535:
            raise SettingError("admin_port", self.admin_port, "a port from 0 to 65535")
        if self.max_samples < 1:
            raise SettingError("max_samples", self.max_samples, "a number of at least 1")
        for name in ("interval", "timeout", "flush_timeout"):
            if getattr(self, name) <= 0:
                raise SettingError(name, getattr(self, name), "seconds, more than 0")
