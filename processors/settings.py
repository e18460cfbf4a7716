"""Settings of the processors. Read from the environment by `app.settings`, nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from storage.client import StoreSettings


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is. `security` holds librdkafka settings such as `security.protocol` and `sasl.*`.

    `session_seconds` is how long a worker that was killed holds its partitions, and how long one may be stuck before
    another takes them over.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    partitions: int = 4
    replication: int = 1
    embedded: bool = False
    session_seconds: float = 10.0
    security: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class EnrichSettings:
    """How inferences become rows.

    Attributes:
        batch_records: most Kafka records that are processed together.
        batch_bytes: bytes of their values after which no record is added.
        batch_seconds: time from one batch to the next, unless one is full before.
        past_days: an event that ended longer ago is invalid.
        future_seconds: an event that ends later than this from now is invalid.
        poison_limit: share of records, of the last 1,000, with mostly invalid events, beyond which the worker stops.
        price_book: YAML with prices; None is the one that comes with the package.
        embedder_url: gRPC `host:port` of the Triton that serves the embedder; None turns embeddings off.
        embedder_model: its model's name.
        embed_seconds: longest that the embedder may take for one batch of prompts.
        embed_most: most prompts of one batch.
        embed_per_second: most prompts a second, on average; the others are left out by chance.
        user_hash_secret: key of the hash that replaces user ids.
    """

    batch_records: int = 10_000
    batch_bytes: int = 32 << 20
    batch_seconds: float = 0.2
    past_days: float = 30.0
    future_seconds: float = 300.0
    poison_limit: float = 0.5
    price_book: Path | None = None
    embedder_url: str | None = None
    embedder_model: str = "minilm"
    embed_seconds: float = 10.0
    embed_most: int = 32
    embed_per_second: float = 20.0
    user_hash_secret: str = field(default="change-me", repr=False)  # `doctor` warns when it is still in use


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """How measurements are watched.

    The first `reference_events` embeddings of a model are what later ones are compared with, the last `windows` of
    them: a short window finds a big change soon, a long one a small change at all.
    """

    reference_events: int = 500
    windows: tuple[int, ...] = (30, 120)
    expected_run_length: int = 100_000
    snapshot_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Which rules hold and whom they tell. `rules` None is the starter set that comes with the package."""

    rules: Path | None = None
    slack_webhook_url: str | None = field(default=None, repr=False)
    dashboard_url: str = "http://127.0.0.1:8501"
    snapshot_seconds: float = 2.0
    tick_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class RetrainSettings:
    """Where datasets are written and how many rows they hold at most."""

    folder: Path = Path(".inferwatch/retraining")
    most_rows: int = 10_000
    look_back_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class ProcessorSettings:
    """Everything a worker needs. `buffered_records` is how many Kafka records, of whatever size, wait to be batched."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    enrich: EnrichSettings = field(default_factory=EnrichSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)
    alert: AlertSettings = field(default_factory=AlertSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)
    data_dir: Path = Path(".inferwatch")
    web_port: int | None = None
    buffered_records: int = 64
