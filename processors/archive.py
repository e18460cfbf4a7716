"""Embeddings, detections, alert transitions and retraining runs to their tables, for the dashboard.

Apart from the steps that make them, so that a store that is away holds up none of those. A record that comes twice is
the same row: its id is made from its cause, and the tables keep one row an id.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from inferwatch import topics
from inferwatch.clock import Clock
from processors.dead_letters import read_or_bury
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import AlertTransition, DetectionRecord, EmbeddingSample, RetrainingRun
from processors.retry import until_it_works
from processors.step import Record
from storage.sink import Sink

TABLES: Final[dict[str, tuple[str, type[msgspec.Struct]]]] = {
    topics.EMBEDDINGS: ("embeddings", EmbeddingSample),
    topics.DETECTIONS: ("detections", DetectionRecord),
    topics.ALERTS: ("alerts", AlertTransition),
    topics.RETRAINING: ("retraining_runs", RetrainingRun),
}
_TIMES: Final = ("at", "started_at")
_NOT_STORED: Final = ("retrain",)


class ArchiveStep:
    """Writes what the other steps decided; durable when it returns."""

    def __init__(self, sink: Sink, producer: RecordProducer, clock: Clock) -> None:
        self._sink = sink
        self._producer = producer
        self._clock = clock

    async def process(self, records: Sequence[Record]) -> bool:
        """Write the rows of a batch, table by table."""
        rows: dict[str, list[msgspec.Struct]] = {}
        buried: list[OutgoingRecord] = []
        for record in records:
            table, kind = TABLES[record.topic]
            rows.setdefault(table, []).extend(read_or_bury(record, kind, buried))
        await until_it_works("Sending dead letters", lambda: self._producer.send(buried))
        for table, structs in rows.items():
            write = functools.partial(self._sink.write, table, archive_columns(structs, self._clock.now()))
            await until_it_works(f"Writing {table}", functools.partial(asyncio.to_thread, write))
        return True

    async def tick(self) -> bool:
        """Nothing ever waits for durability."""
        return True

    def interrupt(self) -> None:
        """Whoever takes over would wait for the same."""

    async def release(self) -> None:
        """Nothing is held."""


def archive_columns(structs: Sequence[msgspec.Struct], now: float) -> dict[str, list[Any]]:
    """Return records as columns named like their fields; times become UTC."""
    columns: dict[str, list[Any]] = {}
    for struct in structs:
        for name in struct.__struct_fields__:
            if name not in _NOT_STORED:
                value = getattr(struct, name)
                columns.setdefault(name, []).append(_stored(name, value))
    if structs:
        columns["written_at"] = [_utc(now)] * len(structs)
    return columns


def _stored(name: str, value: Any) -> Any:
    if name in _TIMES:
        return _utc(value)
    return np.frombuffer(value, dtype="<f4").tolist() if isinstance(value, bytes) else value


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
