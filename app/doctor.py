"""What is reachable and what is misconfigured, in words."""

from __future__ import annotations

from dataclasses import dataclass

from app.local.probes import http_ok, kafka_ok
from app.settings import Settings
from processors.settings import EnrichSettings
from storage.client import StoreSettings, connect, translated_errors
from storage.errors import StorageError
from storage.migrate import load as load_migrations


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Where `needed` is false, the rest works without it."""

    name: str
    ok: bool
    says: str
    needed: bool = True


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that the settings point to."""
    return [
        _kafka(settings),
        _store(settings),
        _triton(settings),
        *_metrics(settings),
        _slack(settings),
        _secret(settings),
        _keys(settings),
    ]


def _kafka(settings: Settings) -> Finding:
    servers = settings.kafka.bootstrap_servers
    if kafka_ok(servers, settings.kafka.security):
        return Finding("Kafka", True, f"answers at {servers}")
    return Finding("Kafka", False, f"no broker answers at {servers}; set INFERWATCH_KAFKA_BOOTSTRAP_SERVERS")


def _store(settings: Settings) -> Finding:
    known = max(migration.number for migration in load_migrations())
    try:
        found = _schema(settings.store)
    except StorageError as error:
        return Finding("ClickHouse", False, f"{error}; set INFERWATCH_CLICKHOUSE_URL, or run `inferwatch migrate`")
    says = f"answers at {settings.store.url}, schema {found} of {known}"
    return Finding("ClickHouse", found == known, says if found == known else f"{says}; run `inferwatch migrate`")


def _schema(store: StoreSettings) -> int:
    client = connect(store)
    try:
        with translated_errors(store.url):
            return int(str(client.command("SELECT max(number) FROM schema_migrations")))
    finally:
        client.close()


def _triton(settings: Settings) -> Finding:
    if http_ok(f"http://{settings.triton_http}/v2/health/ready"):
        return Finding("Triton", True, f"is ready at {settings.triton_http}")
    return Finding("Triton", False, f"is not ready at {settings.triton_http}; set INFERWATCH_TRITON_HTTP")


def _metrics(settings: Settings) -> list[Finding]:
    return [_metrics_of(server.metrics) for server in settings.scraper.servers]


def _metrics_of(address: str) -> Finding:
    if http_ok(f"http://{address}/metrics"):
        return Finding("Triton's metrics", True, f"are told at {address}", needed=False)
    says = f"are not told at {address}: no queue and compute times, no energy; set INFERWATCH_TRITON_METRICS"
    return Finding("Triton's metrics", False, says, needed=False)


def _slack(settings: Settings) -> Finding:
    if settings.processors.alert.slack_webhook_url:
        return Finding("Slack", True, "a webhook is set", needed=False)
    return Finding("Slack", False, "SLACK_WEBHOOK_URL is not set: alerts are only logged and stored", needed=False)


def _secret(settings: Settings) -> Finding:
    if settings.processors.enrich.user_hash_secret != EnrichSettings().user_hash_secret:
        return Finding("User ids", True, "are hashed with your secret", needed=False)
    says = "INFERWATCH_USER_HASH_SECRET is not set: user ids are hashed with a secret that everyone knows"
    return Finding("User ids", False, says, needed=False)


def _keys(settings: Settings) -> Finding:
    keys = settings.collector.api_keys
    if keys is not None:
        return Finding("API keys", True, f"of the collector are in {keys}", needed=False)
    says = "INFERWATCH_API_KEYS is not set: the collector takes events from this machine alone, from anybody on it"
    return Finding("API keys", False, says, needed=False)
