"""What compression costs and saves, column by column: bytes a row, and processor time of writing and reading.

The columns are those of generated inferences, in the order in which the table keeps them. What is chosen by it stands
in `storage/migrations/0003_query_indexes.sql`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from clickhouse_connect.driver.client import Client

from app.bench.engine_time import engine_seconds
from app.bench.generate_rows import Traffic, generate
from app.bench.result import Outcome, Say
from app.bench.temporary_store import temporary_store
from storage.client import connect

ROWS: Final = 1_000_000
_RUNS: Final = 3
_ONE_THREAD: Final = {
    "max_threads": 1,
    "max_insert_threads": 1,
    "max_insert_block_size": 100_000,
    "min_insert_block_size_rows": 100_000,
    "min_insert_block_size_bytes": 0,
    "max_execution_time": 600,
}
"""Blocks as a writer's would be, and figures that add up."""

_TEXT: Final = ("LZ4", "LZ4HC", "ZSTD(1)", "ZSTD(3)", "ZSTD(6)")
_IDS: Final = ("LZ4", "ZSTD(1)", "ZSTD(3)")
_NUMBERS: Final = ("LZ4", "ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)", "Delta, ZSTD(1)")
_TIMES: Final = ("LZ4", "Delta, LZ4", "Delta, ZSTD(1)", "DoubleDelta, ZSTD(1)", "T64, ZSTD(1)")
_FLOATS: Final = ("LZ4", "ZSTD(1)", "Gorilla, ZSTD(1)", "FPC, ZSTD(1)")
CANDIDATES: Final = {
    **dict.fromkeys(("input_messages", "output_messages"), _TEXT),
    **dict.fromkeys(("user", "trace_id", "span_id", "parent_span_id", "conversation_id", "response_id"), _IDS),
    **dict.fromkeys(("event_id", "parameters", "attributes", "pii"), _IDS),
    **dict.fromkeys(("started_at", "ingested_at"), _TIMES),
    **dict.fromkeys(("source_offset", "input_tokens", "output_tokens", "input_characters", "cost"), _NUMBERS),
    **dict.fromkeys(("duration", "time_to_first_token", "queue_time"), _FLOATS),
}


def run(say: Say, rows: int = ROWS) -> Outcome:
    """Write and read each column with each codec."""
    with temporary_store() as settings:
        client = connect(settings)
        generate(client, Traffic(rows, datetime.now(UTC)), say)
        figures: dict[str, float] = {}
        kinds = _kinds(client)
        for column in CANDIDATES:
            say(f"Column {column}")
            figures |= _measured(client, column, kinds[column], rows)
        client.close()
    return Outcome({"rows": rows, "runs": _RUNS}, figures)


def _kinds(client: Client) -> dict[str, str]:
    rows = client.query(
        "SELECT name, type FROM system.columns WHERE table = 'inferences' AND database = currentDatabase()"
    ).result_rows
    return {str(name): str(kind) for name, kind in rows}


def _measured(client: Client, column: str, kind: str, rows: int) -> dict[str, float]:
    """Return the figures of one column with each of its codecs; its values wait in memory, in the table's order."""
    figures = {}
    order = "ORDER BY environment, model, started_at"
    client.command(f"CREATE TABLE plain (value {kind}) ENGINE = Memory")
    client.command(f"CREATE TABLE nowhere (value {kind}) ENGINE = Null")
    client.command(f"INSERT INTO plain SELECT {column} FROM inferences {order}", settings=_ONE_THREAD)  # noqa: S608 - our own names
    unwritten = _seconds(client, "INSERT INTO nowhere SELECT value FROM plain")
    for codec in CANDIDATES[column]:
        client.command(
            f"CREATE TABLE probe (value {kind} CODEC({codec})) ENGINE = MergeTree ORDER BY tuple()"
            " SETTINGS min_bytes_for_wide_part = 0"
        )
        written = _seconds(client, "INSERT INTO probe SELECT value FROM plain")
        read = min(_seconds(client, "SELECT count() FROM probe WHERE NOT ignore(value)") for _ in range(_RUNS))
        stored = client.query(
            "SELECT sum(column_data_compressed_bytes) FROM system.parts_columns"
            " WHERE table = 'probe' AND column = 'value' AND active AND database = currentDatabase()"
        ).result_rows[0][0]
        name = f"{column}_{codec.replace(', ', '_').replace('(', '').replace(')', '').lower()}"
        figures[f"{name}_bytes_per_row"] = stored / rows
        figures[f"{name}_write_us_per_row"] = max(0.0, written - unwritten) / rows * 1e6
        figures[f"{name}_read_us_per_row"] = read / rows * 1e6
        client.command("DROP TABLE probe SYNC")
    client.command("DROP TABLE plain SYNC")
    client.command("DROP TABLE nowhere SYNC")
    return figures


def _seconds(client: Client, statement: str) -> float:
    began = engine_seconds(client)
    client.command(statement, settings=_ONE_THREAD)
    return engine_seconds(client) - began
