"""Rows are counted at whatever moment they arrive."""

from __future__ import annotations

import datetime as dt

import pytest

from inferwatch import new_event_id
from inferwatch.clock import SystemClock
from storage.client import StoreSettings, connect
from storage.migrate import migrate
from storage.rollups import Rollups
from storage.sink import Block, ClickHouseSink
from tests.support.store_rows import INFERENCE, columns

_GIVEN = ("source_topic_id", "source_partition", "ingested_at")


@pytest.mark.parametrize("second", [0.0, 0.5, 59.0, 59.5, 59.999])
def test_rows_that_arrive_in_any_second_of_a_minute_are_counted(store: StoreSettings, second: float) -> None:
    migrate(store)
    minute = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) - dt.timedelta(minutes=2)
    event = {**INFERENCE, "event_id": new_event_id(), "started_at": minute}
    made = columns([{**event, "source_offset": offset} for offset in range(3)])
    block = Block(
        topic_id="topic",
        partition=0,
        after=-1,
        ingested_at=minute + dt.timedelta(seconds=second),
        columns={name: values for name, values in made.items() if name not in _GIVEN},
    )
    sink, rollups, client = ClickHouseSink(store), Rollups(store, SystemClock()), connect(store)
    try:
        sink.append("inferences", block)
        rollups.advance()
        for table in ("metrics_1m", "metrics_1h"):
            assert client.command(f"SELECT sum(requests) FROM {table}") == 3, table
    finally:
        sink.close()
        rollups.close()
        client.close()
