"""Settings of the collector, from the environment."""

from __future__ import annotations

from pathlib import Path

from app.environment import Environment
from app.tls_settings import server_tls
from ingest.collector.settings import CollectorSettings
from processors.settings import KafkaSettings


def collector(env: Environment, kafka: KafkaSettings, host: str) -> CollectorSettings:
    """Return the settings of a collector.

    Raises:
        SettingsError: a variable has a value that cannot work.
    """
    default = CollectorSettings()
    body = env.integer("COLLECTOR_MAX_BODY_BYTES", default.max_body_bytes, 1 << 10, 1 << 30)
    return CollectorSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        security=dict(kafka.security),
        host=host,
        http_port=env.port("COLLECTOR_PORT", default.http_port),
        grpc_port=env.port("COLLECTOR_GRPC_PORT", default.grpc_port),
        tls=server_tls(env, "COLLECTOR"),
        api_keys=env.path("API_KEYS", Path()) if env.optional("API_KEYS") else None,
        open=env.flag("COLLECTOR_OPEN", default.open),
        environment=env.text("ENVIRONMENT", default.environment),
        max_body_bytes=body,
        requests_per_second=env.integer("COLLECTOR_REQUESTS_PER_SECOND", 0, 0, 10**9),
        bytes_per_second=env.integer("COLLECTOR_BYTES_PER_SECOND", 0, 0, 10**12),
        in_flight_bytes=env.integer(
            "COLLECTOR_IN_FLIGHT_BYTES", max(default.in_flight_bytes, 2 * body), 2 * body, 1 << 40
        ),
        ack_seconds=env.seconds("COLLECTOR_ACK_SECONDS", default.ack_seconds),
        session_seconds=kafka.session_seconds,
        join_seconds=env.seconds("CLOUDEVENTS_JOIN_SECONDS", default.join_seconds),
    )
