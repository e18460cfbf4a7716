"""The broker that is started without Docker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.local import kafka as local
from app.local.errors import FormatFailed, ToolMissing
from tests.support.kafka import CACHE, RunningKafka, running_kafka
from tests.support.needs import need_kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    need_kafka()
    with running_kafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


def records(kafka: RunningKafka, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "count", "log_level": 0})
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=30)[1] for n in range(4))
    finally:
        consumer.close()


def produce(kafka: RunningKafka, topic: str, values: list[bytes], **settings: object) -> list[str]:
    errors: list[str] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all", "log_level": 0, **settings})
    for value in values:
        producer.produce(topic, value=value, on_delivery=lambda error, _: errors.append(str(error)) if error else None)
    assert producer.flush(30) == 0
    return errors


def test_acknowledged_records_survive_a_kill(kafka: RunningKafka) -> None:
    kafka.create_topic("survives")
    assert produce(kafka, "survives", [b"x"] * 1000) == []
    kafka.kill()
    kafka.start()
    assert records(kafka, "survives") == 1000
    assert produce(kafka, "survives", [b"y"]) == []


def test_it_stops_quickly_and_comes_back_with_its_data(kafka: RunningKafka) -> None:
    kafka.create_topic("stays")
    assert produce(kafka, "stays", [b"x"] * 10) == []
    assert kafka.stop() < 5
    kafka.start()
    assert records(kafka, "stays") == 10


def test_topics_are_not_made_by_accident(kafka: RunningKafka) -> None:
    errors = produce(kafka, "nobody-made-this", [b"x"], **{"message.timeout.ms": 2000, "retries": 0})
    assert len(errors) == 1
    assert "nobody-made-this" not in AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=30).topics


@pytest.mark.parametrize("codec", ["zstd", "lz4", "snappy", "gzip"])
def test_large_compressed_records_are_taken(kafka: RunningKafka, codec: str) -> None:
    topic = f"large-{codec}"
    kafka.create_topic(topic)
    limits = {"message.max.bytes": 16_000_000, "compression.type": codec}
    assert produce(kafka, topic, [bytes(range(256)) * 40_000], **limits) == []


def test_jars_are_fetched_once_and_whole_by_several_at_a_time(kafka: RunningKafka, tmp_path: Path) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=local.fetch, args=(tmp_path / "cache", said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jars = local.fetch(tmp_path / "cache", said.append)
    assert sorted(file.name for file in jars.iterdir()) == sorted(
        file.name for file in local.jar_folder(CACHE).iterdir()
    )
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [jars.name]
    assert len(said) == 4


def test_starting_before_fetching_says_so(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="fetch it first"):
        local.prepare(local.KafkaSettings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache"))


def test_an_unusable_data_folder_is_refused_with_the_tools_own_words(kafka: RunningKafka, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log").write_text("not a folder")
    with pytest.raises(FormatFailed) as caught:
        local.prepare(local.KafkaSettings(data_dir=tmp_path / "data", cache_dir=CACHE))
    assert caught.value.data_dir == tmp_path / "data"
