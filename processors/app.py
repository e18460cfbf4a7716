"""The workers, assembled: which steps a worker runs, on which topics, with what behind them.

    enrich   inferences, feedback, ────► rows, rollups, measurements, embeddings of a sample, dead letters
             telemetry
    detect   measurements, embeddings ─► detections
    alert    measurements, detections ─► alerts ─► people, datasets; all of it to the store

Each worker is its own consumer group and scales by itself, up to the number of partitions.
"""

from __future__ import annotations

import logging
import random
import ssl
from typing import Final, Literal

import faust
from faust.types import TP
from faust.types.auth import CredentialsT

from detectors.pii.scanner import Scanner
from inferwatch import topics
from inferwatch.clock import SystemClock
from processors.admin import topic_ids
from processors.alert.rules import load_rules
from processors.alert.worker import AlertStep
from processors.archive import ArchiveStep
from processors.consume import attach
from processors.detect.worker import DetectStep
from processors.enrich.embed import EmbeddingSampler
from processors.enrich.pipeline import Pipeline
from processors.enrich.price import load_price_book
from processors.enrich.rollup import Roller
from processors.enrich.worker import EnrichStep
from processors.feedback.contents import Feedback
from processors.health import serve_health
from processors.intake import BatchSize
from processors.notify.slack import SlackWebhook
from processors.notify.worker import NotifyStep
from processors.producer import KafkaProducer
from processors.retrain.worker import RetrainStep, require_writable
from processors.settings import EnrichSettings, KafkaSettings, ProcessorSettings
from processors.stored_step import StoredStep
from processors.telemetry.contents import Telemetry
from serving.embedder import TritonEmbedder
from storage.rollups import Rollups
from storage.sink import ClickHouseSink
from storage.state import ClickHouseStateStore

log: Final = logging.getLogger(__name__)

Role = Literal["enrich", "detect", "alert"]
ROLES: Final[tuple[Role, ...]] = ("enrich", "detect", "alert")


def check(role: Role, settings: ProcessorSettings) -> None:
    """Look at the files that a worker rests on, so that a mistake in them is said before anything is waited for.

    Raises:
        InvalidRule, InvalidPriceBook: a file cannot be read, or something in it does not fit.
        DatasetNotWritten: the folder of retraining datasets cannot be written.
    """
    if role == "enrich":
        load_price_book(settings.enrich.price_book)
    if role == "alert":
        load_rules(settings.alert.rules)
        require_writable(settings.retrain.folder)


def build(role: Role, settings: ProcessorSettings) -> faust.App:
    """Return the Faust app of one worker. All topics must exist."""
    app = bare_app(role, settings)
    match role:
        case "enrich":
            _enrich(app, settings)
        case "detect":
            _detect(app, settings)
        case "alert":
            _alert(app, settings)
    if settings.web_port is not None:
        serve_health(app, role, settings.web_port)
    return app


def _enrich(app: faust.App, settings: ProcessorSettings) -> None:
    enrich = settings.enrich
    producer = KafkaProducer(settings.kafka)
    sampler = None
    if enrich.embedder_url:
        embedder = TritonEmbedder(enrich.embedder_url, model=enrich.embedder_model)
        sampler = EmbeddingSampler(enrich, embedder, producer, random.Random())  # noqa: S311 - a sample, not a secret
    scanner, sink, clock, ids = Scanner(), ClickHouseSink(settings.store), SystemClock(), topic_ids(settings.kafka)
    pipeline = Pipeline(enrich, scanner, load_price_book(enrich.price_book))
    roller = Roller(Rollups(settings.store, clock), lambda: TP(topics.INFERENCES, 0) in app.consumer.assignment())
    step = EnrichStep(enrich, pipeline, sink, producer, sampler, roller, ids[topics.INFERENCES], clock)
    stored = (("feedback", Feedback(enrich, scanner)), ("telemetry", Telemetry(enrich, scanner)))
    attach(
        app,
        step,
        name="enrich",
        topics=[topics.INFERENCES],
        size=_size(enrich),
        in_flight=step.in_flight,
    )
    for name, contents in stored:
        beside = StoredStep(contents, sink, producer, ids[contents.topic], clock)
        attach(app, beside, name=name, topics=[contents.topic], size=_size(enrich))


def _size(settings: EnrichSettings) -> BatchSize:
    return BatchSize(settings.batch_records, settings.batch_seconds, settings.batch_bytes)


def _detect(app: faust.App, settings: ProcessorSettings) -> None:
    states, producer = ClickHouseStateStore(settings.store), KafkaProducer(settings.kafka)
    step = DetectStep(settings.detect, states, producer, topic_ids(settings.kafka), SystemClock())
    attach(app, step, name="detect", topics=[topics.MEASUREMENTS, topics.EMBEDDINGS], size=BatchSize(500, 0.2))


def _alert(app: faust.App, settings: ProcessorSettings) -> None:
    alert, clock = settings.alert, SystemClock()
    producer, states = KafkaProducer(settings.kafka), ClickHouseStateStore(settings.store)
    ids = topic_ids(settings.kafka)
    slack = SlackWebhook(alert.slack_webhook_url) if alert.slack_webhook_url else None
    evaluate = AlertStep(alert, load_rules(alert.rules), states, producer, ids, clock)
    notify = NotifyStep(slack, alert.dashboard_url, states, producer, ids, clock)
    retrain = RetrainStep(settings.retrain, settings.store, producer)
    archive = ArchiveStep(ClickHouseSink(settings.store), producer, clock)
    kept = [topics.EMBEDDINGS, topics.DETECTIONS, topics.ALERTS, topics.RETRAINING]
    attach(app, evaluate, name="alert", topics=[topics.MEASUREMENTS, topics.DETECTIONS], size=BatchSize(500, 0.2))
    attach(app, notify, name="notify", topics=[topics.ALERTS], size=BatchSize(50, 0.1))
    attach(app, retrain, name="retrain", topics=[topics.ALERTS], size=BatchSize(50, 0.1))
    attach(app, archive, name="archive", topics=kept, size=BatchSize(500, 0.2))


def bare_app(name: str, settings: ProcessorSettings) -> faust.App:
    """Return a Faust app that does nothing yet; its consumer group is `inferwatch-` and its name."""
    kafka = settings.kafka
    return faust.App(
        f"inferwatch-{name}",
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(kafka),
        datadir=str(settings.data_dir / "faust"),
        # The state that matters is ours, see `processors.partitions`: no tables, no leader election.
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=kafka.partitions,
        consumer_auto_offset_reset="earliest",
        # A store that is away must not hold up the end: what is not acknowledged comes again.
        stream_wait_empty=False,
        stream_buffer_maxsize=settings.buffered_records,
        broker_commit_interval=0.5,
        # A worker that was killed holds its partitions until its session ends.
        broker_session_timeout=kafka.session_seconds,
        broker_heartbeat_interval=kafka.session_seconds / 3,
        # The built-in server would listen on every interface and show state.
        web_enabled=False,
    )


def _credentials(kafka: KafkaSettings) -> CredentialsT | None:
    """Translate librdkafka's security settings, the ones everything else here uses, to Faust's."""
    protocol = kafka.security.get("security.protocol", "plaintext").lower()
    if protocol == "plaintext":
        return None
    context = None
    if protocol.endswith("ssl"):
        context = ssl.create_default_context(cafile=kafka.security.get("ssl.ca.location"))
    if protocol == "ssl":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        mechanism=kafka.security.get("sasl.mechanism", "PLAIN"),
        username=kafka.security.get("sasl.username"),
        password=kafka.security.get("sasl.password"),
        ssl_context=context,
    )
