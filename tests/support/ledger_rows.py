"""Blocks of rows as a worker makes them, and which of their records are stored."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from storage.sink import Block
from tests.support import store_rows

ROWS_A_RECORD = 2


def block(
    topic_id: str, partition: int, after: int, offsets: Sequence[int], arrived: dt.datetime, dice: random.Random
) -> Block:
    """Return a block of records, each of `ROWS_A_RECORD` rows, with figures that differ."""
    made = [_row(offset, index, arrived, dice) for offset in offsets for index in range(ROWS_A_RECORD)]
    columns: dict[str, Any] = store_rows.inferences(made)
    for name in ("source_topic_id", "source_partition", "ingested_at"):
        del columns[name]
    return Block(topic_id, partition, after, arrived, columns)


def stored(client: Client, topic_id: str, partition: int) -> list[tuple[int, int]]:
    """Return offset and index of each row, in order."""
    rows = client.query(
        "SELECT source_offset, source_index FROM inferences WHERE source_topic_id = {topic:String}"
        " AND source_partition = {partition:UInt32} ORDER BY source_offset, source_index",
        parameters={"topic": topic_id, "partition": partition},
    ).result_rows
    return [(int(offset), int(index)) for offset, index in rows]


def of_records(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Return what `stored` gives where each of these records is there once."""
    return [(offset, index) for offset in offsets for index in range(ROWS_A_RECORD)]


def _row(offset: int, index: int, arrived: dt.datetime, dice: random.Random) -> dict[str, Any]:
    return {
        "source_offset": offset,
        "source_index": index,
        "started_at": arrived - dt.timedelta(seconds=dice.random() * 7_000),
        "model": dice.choice(("smollm2", "ranker")),
        "team": dice.choice(("search", "")),
        "status": dice.choice(("ok", "error", "cancelled")),
        "duration": dice.random(),
        "time_to_first_token": dice.choice((None, 0.25)),
        "input_tokens": dice.choice((None, 7)),
        "output_tokens": dice.choice((None, 9)),
        "cost": dice.choice((None, Decimal("0.000000125"))),
        "pii": dice.choice(([], [("EMAIL_ADDRESS", "input", 2), ("EMAIL_ADDRESS", "output", 1)])),
    }
