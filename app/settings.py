"""All settings of all services, read from the environment here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app import ingest_settings, scraper_settings, sidecar_settings, store_settings
from app.environment import Environment
from app.errors import SettingsError
from app.local.kafka import KafkaSettings as BrokerSettings
from dashboard.config import DashboardSettings
from ingest.collector.settings import CollectorSettings
from ingest.scraper.settings import ScraperSettings
from ingest.sidecar.settings import SidecarSettings
from processors.settings import (
    AlertSettings,
    DetectSettings,
    EnrichSettings,
    KafkaSettings,
    ProcessorSettings,
    RetrainSettings,
)
from serving.settings import TritonSettings
from storage.client import StoreSettings
from storage.embedded.settings import EmbeddedSettings
from storage.queries.energy import EnergyPrices
from storage.retention import RetentionSettings

SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything, by service."""

    data_dir: Path
    kafka: KafkaSettings
    store: StoreSettings
    retention: RetentionSettings
    processors: ProcessorSettings
    sidecar: SidecarSettings
    collector: CollectorSettings
    scraper: ScraperSettings
    dashboard: DashboardSettings
    embedded_store: EmbeddedSettings
    broker: BrokerSettings
    triton: TritonSettings
    triton_http: str
    triton_grpc: str


def load(variables: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: a variable has a value that cannot work; names the variable and the form it should have.
    """
    env = Environment(variables)
    data_dir = env.path("DATA_DIR", Path(".inferwatch"))
    host = env.text("HOST", "127.0.0.1")
    kafka = _kafka(env)
    store = store_settings.store(env)
    dashboard_port = env.port("DASHBOARD_PORT", 8501)
    dashboard_url = env.url("DASHBOARD_URL", f"http://127.0.0.1:{dashboard_port}")
    triton_http = env.address("TRITON_HTTP", "127.0.0.1:8000")
    triton_grpc = env.address("TRITON_GRPC", "127.0.0.1:8001")
    return Settings(
        data_dir=data_dir,
        kafka=kafka,
        store=store,
        retention=store_settings.retention(env),
        processors=_processors(env, variables, kafka, store, data_dir, dashboard_url),
        sidecar=sidecar_settings.sidecar(env, kafka, host, triton_http, triton_grpc),
        collector=ingest_settings.collector(env, kafka, host),
        scraper=scraper_settings.scraper(env, kafka, host, triton_http),
        dashboard=DashboardSettings(
            store=store,
            host=host,
            port=dashboard_port,
            energy=EnergyPrices(env.optional_amount("PRICE_PER_KWH"), env.optional_amount("GRAMS_PER_KWH")),
        ),
        embedded_store=store_settings.embedded(env, host, data_dir),
        broker=_broker(env, host, data_dir, kafka.partitions),
        triton=TritonSettings(
            work_dir=data_dir / "triton",
            host=host,
            http_port=env.port("TRITON_HTTP_PORT", 8000),
            grpc_port=env.port("TRITON_GRPC_PORT", 8001),
            metrics_port=env.port("TRITON_METRICS_PORT", 8002),
            threads=env.integer("TRITON_THREADS", 0, 0, 1024),
        ),
        triton_http=triton_http,
        triton_grpc=triton_grpc,
    )


def _kafka(env: Environment) -> KafkaSettings:
    protocol = env.one_of("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", SECURITY_PROTOCOLS)
    security = {"security.protocol": protocol} if protocol != "PLAINTEXT" else {}
    for name, setting in (
        ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
        ("KAFKA_SASL_USERNAME", "sasl.username"),
        ("KAFKA_SASL_PASSWORD", "sasl.password"),
        ("KAFKA_SSL_CA", "ssl.ca.location"),
    ):
        value = env.optional(name)
        if value is not None:
            security[setting] = value
    return KafkaSettings(
        bootstrap_servers=env.addresses("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        partitions=env.integer("KAFKA_PARTITIONS", 4, 1, 10_000),
        replication=env.integer("KAFKA_REPLICATION", 1, 1, 10),
        embedded=env.flag("KAFKA_EMBEDDED", False),
        session_seconds=env.seconds("KAFKA_SESSION_SECONDS", KafkaSettings().session_seconds),
        security=security,
    )


def _processors(
    env: Environment,
    variables: Mapping[str, str],
    kafka: KafkaSettings,
    store: StoreSettings,
    data_dir: Path,
    dashboard_url: str,
) -> ProcessorSettings:
    enrich = EnrichSettings()
    detect = _detect(env)
    retrain = RetrainSettings()
    return ProcessorSettings(
        kafka=kafka,
        store=store,
        enrich=EnrichSettings(
            batch_records=env.integer("BATCH_RECORDS", enrich.batch_records, 1, 100_000),
            batch_seconds=env.seconds("BATCH_SECONDS", enrich.batch_seconds),
            poison_limit=env.share("POISON_LIMIT", enrich.poison_limit),
            price_book=env.existing_file("PRICE_BOOK"),
            embedder_url=env.optional_address("EMBEDDER"),
            embedder_model=env.text("EMBEDDER_MODEL", enrich.embedder_model),
            user_hash_secret=env.text("USER_HASH_SECRET", enrich.user_hash_secret),
        ),
        detect=detect,
        alert=AlertSettings(
            rules=env.existing_file("ALERT_RULES"),
            slack_webhook_url=Environment(variables).optional_url("SLACK_WEBHOOK_URL"),
            dashboard_url=dashboard_url,
        ),
        retrain=RetrainSettings(
            folder=env.path("RETRAINING_DIR", data_dir / "retraining"),
            most_rows=env.integer("RETRAINING_ROWS", retrain.most_rows, 1, 10**7),
        ),
        data_dir=data_dir,
        web_port=env.optional_port("WORKER_PORT"),
    )


def _detect(env: Environment) -> DetectSettings:
    default = DetectSettings()
    reference = env.integer("DRIFT_REFERENCE_EVENTS", default.reference_events, 20, 100_000)
    windows = env.integers("DRIFT_WINDOWS", default.windows, 5, 10_000)
    if 2 * windows[-1] > reference:
        given = ",".join(map(str, windows))
        limit = f"windows of at most half of INFERWATCH_DRIFT_REFERENCE_EVENTS, {reference // 2}"
        raise SettingsError("INFERWATCH_DRIFT_WINDOWS", given, limit)
    run_length = env.integer("DRIFT_RUN_LENGTH", default.expected_run_length, max(100, 2 * windows[-1]), 10**9)
    return DetectSettings(reference_events=reference, windows=windows, expected_run_length=run_length)


def _broker(env: Environment, host: str, data_dir: Path, partitions: int) -> BrokerSettings:
    return BrokerSettings(
        host=host,
        port=env.port("BROKER_PORT", 9092),
        controller_port=env.port("BROKER_CONTROLLER_PORT", 9093),
        data_dir=data_dir / "kafka",
        cache_dir=env.path("CACHE_DIR", Path("~/.cache/inferwatch")),
        heap_mb=env.integer("BROKER_HEAP_MB", 512, 128, 65_536),
        partitions=partitions,
    )
