"""What the environment says of the sidecar; part of `app.settings`."""

from __future__ import annotations

from app.environment import Environment
from app.tls_settings import client_tls, server_tls
from inferwatch.settings import MirrorSettings
from ingest.sidecar.settings import SidecarSettings
from processors.settings import KafkaSettings

_HELD_BYTES = 64 << 20
_HELD_EVENTS = 100_000
"""Small events of a busy model: what bounds them is their bytes."""
_DELIVERY_SECONDS = 300.0
"""A broker that is started anew within this time loses nothing, as far as memory reaches."""


def sidecar(env: Environment, kafka: KafkaSettings, host: str, triton_http: str, triton_grpc: str) -> SidecarSettings:
    """Return where the sidecar listens and what it stands in front of.

    Raises:
        SettingsError: files of TLS that do not go together or are not there.
    """
    default = SidecarSettings()
    mirror = _mirror(env, kafka)
    return SidecarSettings(
        host=host,
        http_port=env.port("SIDECAR_HTTP_PORT", 9000),
        grpc_port=env.port("SIDECAR_GRPC_PORT", 9001),
        admin_port=env.port("SIDECAR_ADMIN_PORT", 9002),
        upstream_http=triton_http,
        upstream_grpc=triton_grpc,
        mirror=mirror,
        capture_bytes=env.integer("SIDECAR_CAPTURE_BYTES", default.capture_bytes, 1, 1 << 30),
        max_held_bytes=env.integer("SIDECAR_HELD_BYTES", default.max_held_bytes, 1, 1 << 40),
        connect_timeout=env.seconds("SIDECAR_CONNECT_SECONDS", default.connect_timeout),
        drain_timeout=env.seconds("SIDECAR_DRAIN_SECONDS", default.drain_timeout),
        environment=mirror.environment,
        service=mirror.service,
        team=mirror.team,
        tls=server_tls(env, "SIDECAR"),
        upstream_tls=client_tls(env, "TRITON"),
        strip_headers=env.flag("SIDECAR_STRIP_HEADERS", False),
    )


def _mirror(env: Environment, kafka: KafkaSettings) -> MirrorSettings:
    collector = env.url("COLLECTOR_URL", "http://unset") if env.optional("COLLECTOR_URL") else ""
    return MirrorSettings(
        "" if collector else kafka.bootstrap_servers,
        collector_url=collector,
        api_key=env.text("API_KEY", ""),
        ca_file=str(path) if (path := env.existing_file("COLLECTOR_CA")) else None,
        service=env.text("SERVICE", ""),
        environment=env.text("ENVIRONMENT", "default"),
        team=env.text("TEAM", ""),
        source="sidecar",
        text_sample=env.share("TEXT_SAMPLE", 1.0),
        max_events=_HELD_EVENTS,
        max_bytes=_HELD_BYTES,
        delivery_timeout=_DELIVERY_SECONDS,
        kafka=dict(kafka.security),
    )
