"""The topics exist before anything produces to them or consumes from them."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from inferwatch import topics
from processors.errors import TopicsNotReady
from processors.settings import KafkaSettings

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR

RETENTION_MS: Final = {
    topics.INFERENCES: 24 * _HOUR,  # holds unmasked text
    topics.FEEDBACK: 7 * _DAY,
    topics.TELEMETRY: 3 * _DAY,
    topics.CLOUDEVENT_HALVES: _HOUR,  # of unmasked text, until it is joined
    topics.MEASUREMENTS: 3 * _DAY,
    topics.EMBEDDINGS: 3 * _DAY,
    topics.DETECTIONS: 30 * _DAY,
    topics.ALERTS: 30 * _DAY,
    topics.RETRAINING: 30 * _DAY,
    topics.DEAD_LETTERS: 7 * _DAY,
}
_LARGEST_RECORD: Final = 16 << 20


def ensure_topics(settings: KafkaSettings, seconds: float = 15.0) -> tuple[str, ...]:
    """Create the topics that are missing; return their names. The embedded broker creates topics by itself.

    Raises:
        TopicsNotReady: no broker answers, or it refuses to create a topic.
    """
    if settings.embedded:
        return ()
    client = _client(settings)
    try:
        existing = client.list_topics(timeout=seconds).topics
    except KafkaException as error:
        raise TopicsNotReady(settings.bootstrap_servers, f"no broker answers ({error.args[0].name()})") from error
    missing = [name for name in topics.ALL if name not in existing]
    if not missing:
        return ()
    created = client.create_topics([_spec(name, settings) for name in missing], operation_timeout=seconds)
    for name, outcome in created.items():
        try:
            outcome.result(timeout=seconds)
        except KafkaException as error:
            # Another worker that starts at the same time may have been first.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                reason = f"topic {name} was not created: {error.args[0].str()}"
                raise TopicsNotReady(settings.bootstrap_servers, reason) from error
    return tuple(missing)


def topic_ids(settings: KafkaSettings, seconds: float = 15.0) -> dict[str, str]:
    """Return the id of each topic, which a topic that was deleted and made again does not share with the old one.

    Offsets mean something only together with it. The embedded broker gives no ids and forgets everything when it ends:
    there the address, which is another at each start, stands for them.

    Raises:
        TopicsNotReady: no broker answers, or a topic is not there.
    """
    if settings.embedded:
        return dict.fromkeys(topics.ALL, settings.bootstrap_servers)
    client = _client(settings)  # kept, for what is asked ends with it
    described = client.describe_topics(TopicCollection(list(topics.ALL)), request_timeout=seconds)
    ids = {}
    for name, outcome in described.items():
        try:
            ids[name] = str(outcome.result(timeout=seconds).topic_id)
        except KafkaException as error:
            raise TopicsNotReady(settings.bootstrap_servers, f"topic {name}: {error.args[0].str()}") from error
        except TimeoutError as error:
            reason = f"no broker answers within {seconds:g} seconds"
            raise TopicsNotReady(settings.bootstrap_servers, reason) from error
    return ids


def _client(settings: KafkaSettings) -> AdminClient:
    # What librdkafka would log, several lines a second, the errors here say once.
    return AdminClient({**settings.security, "bootstrap.servers": settings.bootstrap_servers, "log_level": 0})


def _spec(name: str, settings: KafkaSettings) -> NewTopic:
    return NewTopic(
        name,
        num_partitions=settings.partitions,
        replication_factor=settings.replication,
        config={
            "retention.ms": str(RETENTION_MS[name]),
            # Retention acts on whole segments, and by default one takes a week to be full on a quiet broker.
            "segment.ms": str(_HOUR),
            "max.message.bytes": str(_LARGEST_RECORD),
        },
    )
