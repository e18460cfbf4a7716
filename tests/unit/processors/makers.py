"""Events, records, rules and doubles for the processors' tests."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.pii.scanner import Scanner
from inferwatch import DropReport, FeedbackEvent, InferenceEvent, ServerSample, new_event_id, topics
from inferwatch.wire import encode_event
from processors.alert.rules import Rule
from processors.enrich.decode import SourceRecord
from processors.enrich.embed import EmbeddingSampler
from processors.enrich.enriched import Batch
from processors.enrich.pipeline import Pipeline
from processors.enrich.price import load_price_book
from processors.enrich.rollup import Roller
from processors.enrich.rows import rows_of
from processors.enrich.worker import EnrichStep
from processors.producer import MemoryProducer, OutgoingRecord
from processors.records import AlertTransition, EmbeddingSample, Measurement, Position, decode_records
from processors.settings import EnrichSettings
from processors.step import Record
from storage.errors import StoreUnavailable
from storage.memory_sink import MemorySink
from storage.sink import Appended, Block, Columns, Table
from storage.state import MemoryStateStore, SavedState

NOW = 1_800_000_000.0
ROWS = [(0, offset, 0) for offset in range(10)]
"""Where ten records of partition 0, of one event each, stand."""
SCANNER = Scanner()
BOOK = load_price_book()
TOPIC_ID = "first"
TOPIC_IDS = {name: f"{name} {TOPIC_ID}" for name in topics.ALL}
MADE_AGAIN = {name: f"{name} second" for name in topics.ALL}
"""The ids of topics that were deleted and made again."""


class HandClock:
    """Stands still until it is told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def elapsed(self) -> float:
        return self.at


class UnsteadySink(MemorySink):
    """A sink that fails as often as it is told to: before it wrote, or with its answer lost after it wrote.

    `blocks` are those that it was given, whatever became of them, and `failures` counts what it raised. A block that
    was given may still be under way in its thread; once it has failed nothing of it is left to happen.
    """

    def __init__(self, log: list[str], before: int = 0, after: int = 0) -> None:
        super().__init__()
        self.log, self.before, self.after = log, before, after
        self.blocks: list[Block] = []
        self.failures = 0

    def write(self, table: str, columns: Columns) -> None:
        with self._failing():
            super().write(table, columns)
            if len(next(iter(columns.values()), ())):
                self.log.append(f"write {table}")

    def append(self, table: Table, block: Block) -> Appended:
        self.blocks.append(block)
        return super().append(table, block)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        if self.before:
            self.before -= 1
            self.failures += 1
            raise StoreUnavailable("http://store", "away")
        yield
        if self.after:
            self.after -= 1
            self.failures += 1
            raise StoreUnavailable("http://store", "the answer is lost")


class GatedSink(UnsteadySink):
    """A sink whose `append` waits until it is let, as one does that is stuck in an insert."""

    def __init__(self, log: list[str] | None = None) -> None:
        super().__init__([] if log is None else log)
        self.gate, self.reached = threading.Event(), threading.Event()

    def append(self, table: Table, block: Block) -> Appended:
        self.reached.set()
        assert self.gate.wait(10)
        return super().append(table, block)


class LoggingProducer(MemoryProducer):
    """Keeps records, notes when they came, and raises what it is told to."""

    def __init__(self, log: list[str] | None = None) -> None:
        super().__init__()
        self.log = [] if log is None else log
        self.raises: list[BaseException] = []

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        if self.raises and records:
            raise self.raises.pop()
        await super().send(records)
        self.log += [f"send {record.topic}" for record in records]


class UnsteadyStore(MemoryStateStore):
    """A state store that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    def save(self, component: str, partition: int, state: SavedState) -> None:
        if self.away:
            raise StoreUnavailable("http://store", "away")
        super().save(component, partition, state)


class FakeEmbedder:
    """Gives every text the same unit vector; fails or hangs where told."""

    model = "fake"
    dimension = 3

    def __init__(self, error: Exception | None = None, hangs: bool = False) -> None:
        self.error, self.hangs = error, hangs
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        return np.tile(np.array([1, 0, 0], dtype=np.float32), (len(texts), 1))

    async def close(self) -> None:
        return


def event(**fields: Any) -> InferenceEvent:
    """Return an event that is valid at `NOW`, with some fields as given."""
    given: dict[str, Any] = {
        "event_id": new_event_id(),
        "started_at": NOW - 10,
        "duration": 0.5,
        "source": "sdk",
        "request_model": "smollm2",
    }
    return InferenceEvent(**{**given, **fields})


def feedback(**fields: Any) -> FeedbackEvent:
    """Return feedback that is valid at `NOW`, with some fields as given."""
    return FeedbackEvent(**{"feedback_id": new_event_id(), "at": NOW - 5, "event_id": new_event_id(), **fields})


def sample(**fields: Any) -> ServerSample:
    """Return what a server says of a model, valid at `NOW`, with some fields as given."""
    given: dict[str, Any] = {"sample_id": new_event_id(), "at": NOW - 5, "interval": 10.0, "instance": "triton:8002"}
    if "device" not in fields:
        given |= {"model": "smollm2", "model_version": "1"}
    return ServerSample(**{**given, **fields})


def drops(**fields: Any) -> DropReport:
    """Return what a mirror lost, valid at `NOW`, with some fields as given."""
    given: dict[str, Any] = {"report_id": new_event_id(), "at": NOW - 5, "since": NOW - 65, "source": "sdk"}
    return DropReport(**{**given, "instance": "web:1:abcd", "dropped": 3, **fields})


def record(*events: InferenceEvent | bytes, offset: int = 0, partition: int = 0, topic: str = "t") -> Record:
    """Return a consumed record that holds events, or bytes where an event should be."""
    lines = [one if isinstance(one, bytes) else encode_event(one) for one in events]
    return Record(topic, partition, offset, "", b"\n".join(lines))


def source(value: bytes | None, offset: int = 0, partition: int = 0) -> SourceRecord:
    """Return a record as the pipeline takes it."""
    return SourceRecord(partition, offset, value)


def enriched(*events: InferenceEvent | bytes, **settings: Any) -> Batch:
    """Return what becomes of events that came in one record."""
    return pipeline(**settings).enrich([source(record(*events).value)], NOW)


def rows(batch: Batch) -> list[dict[str, Any]]:
    """Return the rows of a batch as a store reads them: values of Python, decoded texts, no Arrow."""
    columns = {name: column.to_pylist() for name, column in rows_of(batch).items()}
    return [
        {name: _read(name, value) for name, value in zip(columns, values, strict=True)}
        for values in zip(*columns.values(), strict=True)
    ]


def row(one: InferenceEvent) -> dict[str, Any]:
    """Return the row of an event."""
    (found,) = rows(enriched(one))
    return found


def _read(name: str, value: Any) -> Any:
    if name == "event_id":
        return str(uuid.UUID(bytes=value))
    if name == "attributes":
        return dict(value)
    if name == "pii":
        return [tuple(hit.values()) for hit in value]
    return value.decode() if isinstance(value, bytes) else value


def one_each(*wanted: int) -> list[Record]:
    """Return records of partition 0 with an event in each, at these offsets or the first ten."""
    return [record(event(), offset=offset) for offset in wanted or range(10)]


def pipeline(price_book: Path | None = None, **settings: Any) -> Pipeline:
    """Return the pipeline with the real scanner."""
    return Pipeline(EnrichSettings(**settings), SCANNER, BOOK if price_book is None else load_price_book(price_book))


def enrich_step(
    sink: MemorySink,
    producer: MemoryProducer,
    sampler: EmbeddingSampler | None = None,
    topic_id: str = TOPIC_ID,
    roller: Roller | None = None,
    **settings: Any,
) -> EnrichStep:
    """Return the enrich step with the real pipeline."""
    made = pipeline(**settings)
    return EnrichStep(EnrichSettings(**settings), made, sink, producer, sampler, roller, topic_id, HandClock())


async def processed(step: EnrichStep, records: Sequence[Record]) -> bool:
    """Process a batch to its very end; return whether it is durable."""
    return await step.process(records) and await step.settle()


def offsets(sink: MemorySink, table: Table = "inferences") -> list[tuple[int, int, int]]:
    """Return where each row came from, in the order in which rows were stored."""
    rows = sink.tables.get(table, [])
    return [(row["source_partition"], row["source_offset"], row["source_index"]) for row in rows]


def measured(producer: MemoryProducer) -> list[Measurement]:
    """Return the measurements that were sent."""
    sent = [one for one in producer.records if one.topic == topics.MEASUREMENTS]
    return [measurement for one in sent for measurement in decode_records(one.value, Measurement)]


def measurement(at: float, offset: int, **fields: Any) -> Measurement:
    """Return a measurement of one model."""
    given: dict[str, Any] = {"environment": "prod", "model": "m", "event_id": f"e{offset}", "source": TOPIC_ID}
    return Measurement(at=at, position=Position(0, offset, 0), **{**given, **fields})


def embedding(*numbers: float, **fields: Any) -> EmbeddingSample:
    """Return the embedding of a prompt."""
    given: dict[str, Any] = {
        "event_id": "e0",
        "at": NOW,
        "environment": "prod",
        "model": "m",
        "embedding_model": "fake",
        "vector": np.array(numbers, dtype="<f4").tobytes(),
    }
    return EmbeddingSample(**{**given, **fields})


def rule(**fields: Any) -> Rule:
    """Return a rule on the share of errors."""
    given: dict[str, Any] = {
        "name": "r",
        "severity": "warning",
        "signal": "error",
        "aggregation": "share",
        "threshold": 0.5,
        "summary": "{value:.2f} over {threshold} of {events}",
    }
    return Rule(**{**given, **fields})


def transition(**fields: Any) -> AlertTransition:
    """Return an alert that fires."""
    given: dict[str, Any] = {
        "transition_id": "t1",
        "alert_id": "5b7c1f6e-0d51-5d55-9a3b-5c0a3c2f7c11",
        "at": NOW,
        "started_at": NOW - 90,
        "state": "firing",
        "rule": "errors",
        "severity": "critical",
        "environment": "prod",
        "model": "m",
        "signal": "error",
        "value": 0.25,
        "threshold": 0.1,
        "events": 40,
        "summary": "25% of requests failed",
    }
    return AlertTransition(**{**given, **fields})
