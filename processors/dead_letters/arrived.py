"""Did bytes arrive that a replay began to send and never said more about?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from processors.dead_letters.letter import LetterKey, Mark
from processors.settings import KafkaSettings
from processors.topic_reader import Removed, Span, TopicReader, headers_of

REPLAYED_FROM: Final = "inferwatch-replayed-from"
"""Header of what was replayed: the id of its dead letter."""

RUN: Final = "inferwatch-replay-run"
"""Header of what was replayed: which replay sent it."""


def arrived(
    kafka: KafkaSettings, begun: Mapping[LetterKey, Sequence[Mark]], margin: float
) -> tuple[set[LetterKey], set[str]]:
    """Return the letters whose bytes are in their topics, and the topics that still hold all that can have come.

    Looks at what is not older than `margin` seconds before the first mark. Raises `TopicUnreadable`.
    """
    there: set[LetterKey] = set()
    told: set[str] = set()
    for topic in sorted({key.topic for key in begun}):
        of_topic = {key: marks for key, marks in begun.items() if key.topic == topic}
        since = min(mark.at for marks in of_topic.values() for mark in marks) - margin
        keys = {(str(key), mark.run): key for key, marks in of_topic.items() for mark in marks}
        with TopicReader(kafka, topic) as reader:
            whole = reader.whole()
            places = reader.offsets_at(since, [span.partition for span in whole])
            spans = [Span(span.partition, places.get(span.partition, span.end), span.end) for span in whole]
            if not any(place.first == span.first > 0 for place, span in zip(spans, whole, strict=True)):
                told.add(topic)
            for messages in reader.read(spans):
                if isinstance(messages, Removed):
                    told.discard(topic)
                    continue
                for headers in map(headers_of, messages):
                    key = keys.get((headers.get(REPLAYED_FROM, ""), headers.get(RUN, "")))
                    if key is not None:
                        there.add(key)
    return there, told
