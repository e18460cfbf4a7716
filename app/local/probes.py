"""Is a service ready? Each probe answers at once and never raises."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

Probe = Callable[[], bool]


def http_ok(url: str, seconds: float = 1.0) -> bool:
    """Return whether a GET is answered with 200."""
    try:
        # No proxy, whatever the environment says: every probe stays on this machine or in its network.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def answers_http(url: str) -> Probe:
    """Return a probe for an HTTP URL."""
    return lambda: http_ok(url)


def accepts_tcp(port: int) -> Probe:
    """Return a probe for a port of this machine that takes connections."""

    def probe() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            return False
        return True

    return probe


def answers_kafka(bootstrap_servers: Callable[[], str | None]) -> Probe:
    """Return a probe for a broker whose address may only be known later."""

    def probe() -> bool:
        servers = bootstrap_servers()
        return servers is not None and kafka_ok(servers)

    return probe


def kafka_ok(bootstrap_servers: str, security: Mapping[str, str] | None = None, seconds: float = 2.0) -> bool:
    """Return whether a broker tells its metadata. `security` holds librdkafka's settings."""
    host, _, port = bootstrap_servers.split(",")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
        client = AdminClient({**(security or {}), "bootstrap.servers": bootstrap_servers, "log_level": 0})
        return bool(client.list_topics(timeout=seconds).brokers)
    except (OSError, KafkaException):
        return False
