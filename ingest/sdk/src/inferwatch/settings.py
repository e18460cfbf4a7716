"""Settings of a mirror, with defaults that are safe inside somebody else's process."""

from __future__ import annotations

from dataclasses import dataclass, field

from inferwatch.errors import SettingError


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """How much a mirror may hold and for how long.

    Attributes:
        bootstrap_servers: Kafka brokers, `host:port[,host:port…]`.
        service: name of the application, OpenTelemetry's `service.name`.
        environment: `deployment.environment.name`.
        team: who pays.
        max_events: events held in memory before the oldest are dropped.
        max_bytes: text held in memory, roughly, before the oldest events are dropped.
        max_text_characters: text of one message part beyond this is cut, between words, and its original length kept.
        events_per_record: most events in one Kafka record.
        record_bytes: a record is closed once it holds this many bytes.
        linger: seconds an event may wait for others to share its record.
        delivery_timeout: seconds Kafka has to acknowledge a record before its events count as lost.
        flush_timeout: seconds that `close` (and the end of the process) waits for delivery.
        kafka: more librdkafka settings, such as TLS and SASL.
    """

    bootstrap_servers: str
    service: str = ""
    environment: str = "default"
    team: str = ""
    max_events: int = 10_000
    max_bytes: int = 32 << 20
    max_text_characters: int = 65_536
    events_per_record: int = 100
    record_bytes: int = 256 << 10
    linger: float = 0.05
    delivery_timeout: float = 30.0
    flush_timeout: float = 3.0
    kafka: dict[str, str | int | float | bool] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.bootstrap_servers:
            raise SettingError("bootstrap_servers", self.bootstrap_servers, "host:port[,host:port…]")
        for name in ("max_events", "max_bytes", "max_text_characters", "events_per_record", "record_bytes"):
            if getattr(self, name) < 1:
                raise SettingError(name, getattr(self, name), "a number of at least 1")
        for name in ("linger", "delivery_timeout", "flush_timeout"):
            if getattr(self, name) < 0:
                raise SettingError(name, getattr(self, name), "seconds, 0 or more")
