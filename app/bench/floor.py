"""The floor of the pipeline benchmark: decode and insert, nothing between. Runs as a process until it is stopped."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import pyarrow as pa

from app import settings
from inferwatch import topics
from processors.admin import topic_ids
from processors.app import bare_app
from processors.consume import attach
from processors.enrich.decode import SourceRecord, decode
from processors.enrich.fields import Fields
from processors.enrich.parts import PART_BYTES, chunks
from processors.enrich.rows import uuids
from processors.health import serve_health
from processors.intake import BatchSize
from processors.run import run
from processors.step import Record
from storage.sink import Block, ClickHouseSink, Sink

_encode: Final = msgspec.json.Encoder().encode
_TEXTS: Final = (
    *("environment", "service", "team", "user", "source", "trace_id", "span_id", "conversation_id", "operation"),
    *("provider", "request_model", "model_version", "prompt_name", "prompt_version", "token_source", "status"),
)


class FloorStep:
    """Writes events as they are."""

    def __init__(self, sink: Sink, topic_id: str) -> None:
        self._sink = sink
        self._topic_id = topic_id
        self._stored: dict[int, int] = {}

    async def process(self, records: Sequence[Record]) -> bool:
        """Write a batch."""
        ordered = [SourceRecord(record.partition, record.offset, record.value) for record in records]
        for part in chunks(ordered, PART_BYTES):
            for partition, mine in groupby(part, key=lambda record: record.partition):
                await asyncio.to_thread(self._write, partition, list(mine))
        return True

    async def tick(self) -> bool:
        """Nothing to do."""
        return True

    def interrupt(self) -> None:
        """Nothing to give up."""

    async def release(self) -> None:
        """Nothing to forget."""

    def _write(self, partition: int, records: list[SourceRecord]) -> None:
        decoded = decode(records)
        fields = Fields(decoded.events)
        offsets = [records[place].offset for place in decoded.record_of.tolist()]
        columns: dict[str, Any] = {
            "event_id": uuids(fields["event_id"]),
            "source_offset": pa.array(offsets, pa.uint64()),
            "source_index": pa.array(decoded.line_of),
            "started_at": pa.array(fields.micros("started_at")).cast(pa.timestamp("us", "UTC")),
            "duration": pa.array(fields["duration"], pa.float64()),
            "time_to_first_token": pa.array(fields["time_to_first_token"], pa.float64()),
            "input_tokens": pa.array(fields["input_tokens"], pa.uint32()),
            "output_tokens": pa.array(fields["output_tokens"], pa.uint32()),
            "input_messages": pa.array(list(map(_encode, fields["input_messages"])), pa.binary()),
            "output_messages": pa.array(list(map(_encode, fields["output_messages"])), pa.binary()),
            **{name: pa.array(fields[name], pa.string()).fill_null("").dictionary_encode() for name in _TEXTS},
        }
        block = Block(self._topic_id, partition, self._stored.get(partition, -1), dt.datetime.now(dt.UTC), columns)
        self._stored[partition] = self._sink.append("inferences", block).position


def main() -> None:
    """Consume the inferences topic as a consumer group of its own."""
    processors = settings.load(os.environ).processors
    app = bare_app("bench-floor", processors)
    step = FloorStep(ClickHouseSink(processors.store), topic_ids(processors.kafka)[topics.INFERENCES])
    enrich = processors.enrich
    size = BatchSize(enrich.batch_records, enrich.batch_seconds, enrich.batch_bytes)
    attach(app, step, name="floor", topics=[topics.INFERENCES], size=size)
    if processors.web_port is not None:
        serve_health(app, "floor", processors.web_port)
    sys.exit(run(app))


if __name__ == "__main__":
    main()
