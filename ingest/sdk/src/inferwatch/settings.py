"""Settings of a mirror, with defaults that are safe inside somebody else's process."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from inferwatch.errors import SettingError
from inferwatch.masking import Mask

_AT_LEAST_ONE: Final = ("max_events", "max_bytes", "max_text_characters", "events_per_record", "record_bytes")
_SECONDS: Final = ("linger", "delivery_timeout", "flush_timeout", "report_interval")
_MOST_SECONDS: Final = 86_400
_TEXTS: Final = ("service", "environment", "team", "source", "api_key")


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """Where a mirror sends to, what it sends, and how much it may hold for how long.

    Attributes:
        bootstrap_servers: Kafka brokers, `host:port[,host:port…]`.
        collector_url: a collector, such as `https://collector:4318`, instead of brokers.
        api_key: what the collector knows the application by.
        ca_file: certificates that the collector's is checked against, in PEM; the system's where it is None.
        service: name of the application, OpenTelemetry's `service.name`.
        environment: `deployment.environment.name`.
        team: who pays.
        source: what mirrors, as it calls itself where it tells what it lost.
        text_sample: share of inferences, 0 to 1, whose text is sent. Numbers, attributes and the text of errors always
            are.
        mask: called with every free text before it leaves, in the background; returns what may. Where it raises, the
            text stays behind.
        max_events: events held in memory before the oldest are dropped.
        max_bytes: text held in memory, roughly, before the oldest events are dropped.
        max_text_characters: text of one message part, tool's call or answer, or error beyond this is cut, between
            words; the original length of what was asked and answered is kept.
        events_per_record: most events in one Kafka record or one request.
        record_bytes: a record is closed once it holds this many bytes.
        linger: seconds an event may wait for others to share its record.
        delivery_timeout: seconds that a record has to be acknowledged before its events count as lost.
        flush_timeout: seconds that `close` (and the end of the process) waits for delivery.
        report_interval: seconds between reports of what was lost; none are sent where nothing was.
        kafka: more librdkafka settings, such as TLS and SASL.
    """

    bootstrap_servers: str = ""
    collector_url: str = ""
    api_key: str = field(default="", repr=False)
    ca_file: str | None = None
    service: str = ""
    environment: str = "default"
    team: str = ""
    source: str = "sdk"
    text_sample: float = 1.0
    mask: Mask | None = None
    max_events: int = 10_000
    max_bytes: int = 32 << 20
    max_text_characters: int = 65_536
    events_per_record: int = 100
    record_bytes: int = 256 << 10
    linger: float = 0.05
    delivery_timeout: float = 30.0
    flush_timeout: float = 3.0
    report_interval: float = 10.0
    kafka: dict[str, str | int | float | bool] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.bootstrap_servers and self.collector_url:
            expected = "nothing beside bootstrap_servers: events go to Kafka or to a collector"
            raise SettingError("collector_url", self.collector_url, expected)
        if self.collector_url:
            _check_url(self.collector_url)
            if self.ca_file is not None and not Path(self.ca_file).is_file():
                raise SettingError("ca_file", self.ca_file, "a file of certificates in PEM")
        elif not self.bootstrap_servers:
            raise SettingError("bootstrap_servers", self.bootstrap_servers, "host:port[,host:port…]")
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str):
                raise SettingError(name, getattr(self, name), "text")
        # It becomes a header; one that was read from a file often ends with a line break. Not quoted: it is a secret.
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise SettingError("api_key", "…", "printable ASCII without blanks and line breaks")
        if not 0.0 <= self.text_sample <= 1.0:
            raise SettingError("text_sample", self.text_sample, "a share from 0 to 1")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise SettingError(name, getattr(self, name), "a number of at least 1")
        for name in _SECONDS:
            if not 0 <= getattr(self, name) <= _MOST_SECONDS:
                raise SettingError(name, getattr(self, name), "seconds, 0 or more, at most a day")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.path.isascii()
    except ValueError:
        fits = False
    if not fits or not url.isprintable() or any(mark in url for mark in " @?#"):
        shown = re.sub(r"//[^/]*@", "//…@", url)  # somebody's password may stand there
        raise SettingError("collector_url", shown, "a URL such as https://collector:4318; the key goes into api_key")
