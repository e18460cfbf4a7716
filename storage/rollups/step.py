"""One insert into a rollup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from storage.connection import Connection
from storage.rollups.figures import Rollup
from storage.rollups.ledger import Span
from storage.rollups.marks import Place


def count(connection: Connection, rollup: Rollup, target: str, span: Span, generation: int, token: str) -> None:
    """Add the figures of a span, and how far they go, to table `target` as one part."""
    partitions = sorted(span.offsets)
    connection.insert_select(
        rollup.step(target),
        token,
        {
            "day": span.day,
            "since": int(span.since.timestamp()),
            "until": int(span.until.timestamp()),
            "topic": span.topic_id,
            "partitions": partitions,
            "afters": [span.offsets[partition][0] for partition in partitions],
            "uptos": [span.offsets[partition][1] for partition in partitions],
            "least": min(after for after, _ in span.offsets.values()),
            "most": max(upto for _, upto in span.offsets.values()),
            "generation": generation,
        },
    )


def mark(
    connection: Connection,
    rollup: Rollup,
    target: str,
    day: dt.date,
    offsets: Mapping[Place, int],
    generation: int,
    token: str,
) -> None:
    """Add marks without figures to table `target` as one part."""
    places = sorted(offsets)
    connection.insert_select(
        rollup.marks(target),
        token,
        {
            "day": day,
            "topics": [place.topic_id for place in places],
            "partitions": [place.partition for place in places],
            "uptos": [offsets[place] for place in places],
            "generation": generation,
        },
    )
