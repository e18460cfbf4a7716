"""How far the workers are: what they have not processed must be neither removed nor forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from inferwatch import topics
from processors.erasure.errors import NotYetProcessed
from processors.settings import KafkaSettings
from processors.topic_reader import TopicReader

GROUPS: Final[Mapping[str, Sequence[str]]] = {
    topics.INFERENCES: ("inferwatch-enrich",),
    topics.FEEDBACK: ("inferwatch-enrich",),
    topics.TELEMETRY: ("inferwatch-enrich",),
    topics.CLOUDEVENT_HALVES: ("inferwatch-collector-joiner",),
    topics.MEASUREMENTS: ("inferwatch-detect", "inferwatch-alert"),
    topics.EMBEDDINGS: ("inferwatch-detect", "inferwatch-alert"),
    topics.DETECTIONS: ("inferwatch-alert",),
    topics.ALERTS: ("inferwatch-alert",),
    topics.RETRAINING: ("inferwatch-alert",),
    topics.DEAD_LETTERS: (),
}
"""Consumer groups of each topic; dead letters are for people."""

NEVER_LOST: Final = frozenset({topics.INFERENCES, topics.FEEDBACK})
"""Topics that must be processed before anything is removed, even where no worker has ever run."""

_EVERY: Final = 0.25


def wait_until_processed(
    kafka: KafkaSettings, ends: Mapping[str, Mapping[int, int]], seconds: float, alive: Callable[[], None]
) -> None:
    """Wait until the groups of each topic have processed its partitions up to the offsets in `ends`.

    A group that never committed an offset of a topic does not run here, and is not waited for, but for `NEVER_LOST`.

    Raises:
        NotYetProcessed: after `seconds`.
        TopicUnreadable: Kafka does not answer.
    """
    deadline = time.monotonic() + seconds
    for topic, of_topic in ends.items():
        with TopicReader(kafka, topic) as reader:
            for group in GROUPS[topic]:
                while behind := _behind(reader, topic, group, of_topic):
                    if time.monotonic() > deadline:
                        raise NotYetProcessed(topic, group, behind, seconds)
                    alive()
                    time.sleep(_EVERY)


def ends_of(kafka: KafkaSettings, names: Sequence[str]) -> dict[str, dict[int, int]]:
    """Return where each partition of some topics ends now; empty ones are left out."""
    ends = {}
    for topic in names:
        with TopicReader(kafka, topic) as reader:
            ends[topic] = {span.partition: span.end for span in reader.whole() if span.end > span.first}
    return ends


def _behind(reader: TopicReader, topic: str, group: str, ends: Mapping[int, int]) -> int:
    if not ends:
        return 0
    committed = reader.committed(group, sorted(ends))
    if not committed and topic not in NEVER_LOST:
        return 0
    firsts = {span.partition: span.first for span in reader.whole()}
    # What retention took away needs nobody any more.
    return sum(max(0, end - max(committed.get(each, 0), firsts.get(each, 0))) for each, end in ends.items())
