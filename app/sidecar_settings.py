"""What the environment says of the sidecar; part of `app.settings`."""

from __future__ import annotations

from app.environment import Environment
from app.errors import SettingsError
from inferwatch.settings import MirrorSettings
from ingest.sidecar.settings import SidecarSettings
from ingest.sidecar.tls import ClientTls, ServerTls
from processors.settings import KafkaSettings

_HELD_BYTES = 64 << 20
_DELIVERY_SECONDS = 300.0
"""A broker that is started anew within this time loses nothing, as far as memory reaches."""


def sidecar(env: Environment, kafka: KafkaSettings, host: str, triton_http: str, triton_grpc: str) -> SidecarSettings:
    """Return where the sidecar listens and what it stands in front of.

    Raises:
        SettingsError: files of TLS that do not go together or are not there.
    """
    mirror = _mirror(env, kafka)
    return SidecarSettings(
        host=host,
        http_port=env.port("SIDECAR_HTTP_PORT", 9000),
        grpc_port=env.port("SIDECAR_GRPC_PORT", 9001),
        admin_port=env.port("SIDECAR_ADMIN_PORT", 9002),
        upstream_http=triton_http,
        upstream_grpc=triton_grpc,
        mirror=mirror,
        environment=mirror.environment,
        service=mirror.service,
        team=mirror.team,
        tls=_server_tls(env),
        upstream_tls=_client_tls(env),
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
        max_bytes=_HELD_BYTES,
        delivery_timeout=_DELIVERY_SECONDS,
        kafka=dict(kafka.security),
    )


def _server_tls(env: Environment) -> ServerTls | None:
    certificate, key = env.existing_file("SIDECAR_TLS_CERT"), env.existing_file("SIDECAR_TLS_KEY")
    client_ca = env.existing_file("SIDECAR_TLS_CLIENT_CA")
    if certificate is None or key is None:
        for name, given in (("CERT", certificate), ("KEY", key), ("CLIENT_CA", client_ca)):
            if given is not None:
                both = "to go together with INFERWATCH_SIDECAR_TLS_CERT and INFERWATCH_SIDECAR_TLS_KEY"
                raise SettingsError(f"INFERWATCH_SIDECAR_TLS_{name}", str(given), both)
        return None
    return ServerTls(certificate, key, client_ca)


def _client_tls(env: Environment) -> ClientTls | None:
    if not env.flag("TRITON_TLS", False):
        return None
    certificate, key = env.existing_file("TRITON_TLS_CERT"), env.existing_file("TRITON_TLS_KEY")
    if (certificate is None) != (key is None):
        given = str(certificate or key)
        raise SettingsError("INFERWATCH_TRITON_TLS_CERT", given, "to go together with INFERWATCH_TRITON_TLS_KEY")
    return ClientTls(env.existing_file("TRITON_TLS_CA"), env.optional("TRITON_TLS_SERVER_NAME"), certificate, key)
