"""Removing dead letters of a subject, while letters arrive and people replay them.

Kafka removes only from the beginning, so those that stay are moved first. For each partition:

1. Find the last letter of the subject. Behind it nothing changes.
2. Send every other letter and mark that stands before it to the end of the same partition: same key, headers and time.
   Wait for Kafka.
3. Remove everything up to the last letter of the subject.

Killed between 2 and 3, letters are there twice. The next run does not send again what stands behind the subject's last
letter already, and where a letter stood first, in its headers, is what tells it apart for whoever lists or replays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from inferwatch import topics
from processors.dead_letters.letter import Letter, read_message
from processors.erasure.errors import TopicNotErased
from processors.erasure.topic import Matches, Scan, is_of_subject, remove_before
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, Span, TopicReader

_SECONDS: Final = 60.0
_BATCH: Final = 1000

Identity = tuple[object, ...]


def remove_letters(kafka: KafkaSettings, scan: Scan, matches: Matches, alive: Callable[[], None]) -> None:
    """Remove the dead letters that a scan found, and no others.

    Raises:
        TopicNotErased: Kafka refuses; nothing is lost, letters may be there twice.
        TopicUnreadable: Kafka does not answer.
    """
    if not scan.behind:
        return
    with TopicReader(kafka, topics.DEAD_LETTERS) as reader:
        whole = {span.partition: span for span in reader.whole()}
        later = [Span(each, behind, whole[each].end) for each, behind in scan.behind.items()]
        there = {(_partition(one), identity(one)) for one in _messages(reader, later)}
        before = [Span(each, whole[each].first, behind) for each, behind in scan.behind.items()]
        _move(kafka, _messages(reader, before), matches, there, alive)
    remove_before(kafka, topics.DEAD_LETTERS, scan.behind)


def identity(message: Message) -> Identity:
    """Return what is the same of a letter, or of a mark, wherever in the topic it stands."""
    found = read_message(message)
    if not isinstance(found, Letter):
        return ("mark", found.key, found.stage, found.run)
    if found.foreign:
        return ("foreign", message.key(), message.value(), tuple(found.headers.items()), message.timestamp())
    return ("letter", found.key)


def _move(
    kafka: KafkaSettings,
    messages: Iterator[Message],
    matches: Matches,
    there: set[tuple[int, Identity]],
    alive: Callable[[], None],
) -> None:
    failed: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error.name())

    producer = Producer(
        {
            "compression.type": "lz4",
            "message.max.bytes": 16 << 20,
            "log_level": 0,
            **kafka.security,
            "bootstrap.servers": kafka.bootstrap_servers,
            "enable.idempotence": True,
            "message.timeout.ms": int(_SECONDS * 1000),
        }
    )
    for number, message in enumerate(messages):
        place = (_partition(message), identity(message))
        if place in there or is_of_subject(message, matches):
            continue
        there.add(place)
        _send(producer, message, delivered)
        if number % _BATCH == 0:
            producer.flush(_SECONDS)
            alive()
    if producer.flush(_SECONDS) or failed:
        raise TopicNotErased(topics.DEAD_LETTERS, failed[0] if failed else f"no answer for {_SECONDS:g} seconds")


def _send(producer: Producer, message: Message, delivered: Callable[[KafkaError | None, Message], None]) -> None:
    kind, milliseconds = message.timestamp()
    while True:
        try:
            return producer.produce(
                topics.DEAD_LETTERS,
                value=message.value(),
                key=message.key(),
                headers=message.headers(),
                partition=_partition(message),
                # Retention goes on counting from when the letter was written.
                timestamp=milliseconds if kind and milliseconds > 0 else 0,
                on_delivery=delivered,
            )
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            raise TopicNotErased(topics.DEAD_LETTERS, str(error.args[0].str())) from error


def _messages(reader: TopicReader, spans: list[Span]) -> Iterator[Message]:
    for messages in reader.read(spans):
        if not isinstance(messages, Removed):
            yield from messages


def _partition(message: Message) -> int:
    return message.partition() or 0
