"""What the indexes of `inferences` cost writers: processor time when rows are inserted and merged, and bytes.

Processor time is the engine's own, so that other work on the machine does not count.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from clickhouse_connect.driver.client import Client

from app.bench.engine_time import engine_seconds
from app.bench.generate_rows import Traffic, generate
from app.bench.result import Outcome, Say
from app.bench.temporary_store import temporary_store
from storage.client import connect

ROWS: Final = 200_000
_BLOCK: Final = 10_000
_ALL: Final = ("words", "by_user", "by_conversation_id", "by_event_id", "by_trace_id")
VARIANTS: Final[dict[str, tuple[tuple[str, ...], dict[str, str]]]] = {
    "none": ((), {}),
    "words": (("words",), {}),
    "user": (("by_user",), {}),
    "conversation": (("by_conversation_id",), {}),
    "event_and_trace": (("by_event_id", "by_trace_id"), {}),
    "all": (_ALL, {}),
    "all_words_by_merges": (_ALL, {"exclude_materialize_skip_indexes_on_insert": "words"}),
}
"""Indexes to keep, and settings of the insert."""


def run(say: Say, rows: int = ROWS) -> Outcome:
    """Write the same rows with each set of indexes."""
    figures: dict[str, float] = {}
    with temporary_store() as settings, closing(connect(settings)) as client:
        generate(client, Traffic(rows, datetime.now(UTC)), say)
        client.command("CREATE TABLE waiting ENGINE = Memory AS SELECT * FROM inferences ORDER BY started_at")
        for name, (indexes, options) in VARIANTS.items():
            say(f"Indexes: {name}")
            figures |= {f"{name}_{figure}": value for figure, value in _written(client, indexes, options, rows).items()}
    return Outcome({"rows": rows, "rows_in_an_insert": _BLOCK}, figures)


def _written(client: Client, indexes: tuple[str, ...], options: dict[str, str], rows: int) -> dict[str, float]:
    client.command("CREATE TABLE target AS inferences")
    for index in set(_ALL) - set(indexes):
        client.command(f"ALTER TABLE target DROP INDEX {index}")
    client.command("SYSTEM STOP MERGES target")
    # Nothing is merged before the end, so parts are many and must not hold inserts up.
    client.command("ALTER TABLE target MODIFY SETTING parts_to_throw_insert = 100000, parts_to_delay_insert = 100000")
    began = engine_seconds(client)
    settings = {"max_threads": 1, "max_block_size": _BLOCK, "max_insert_block_size": _BLOCK, **options}
    settings |= {"min_insert_block_size_rows": _BLOCK, "min_insert_block_size_bytes": 0}
    client.command("INSERT INTO target SELECT * FROM waiting", settings=settings)
    inserted = engine_seconds(client)
    client.command("SYSTEM START MERGES target")
    client.command("OPTIMIZE TABLE target FINAL", settings={"max_execution_time": 600})
    merged = engine_seconds(client)
    size = client.query(
        "SELECT sum(bytes_on_disk), sum(secondary_indices_compressed_bytes) FROM system.parts"
        " WHERE active AND table = 'target' AND database = currentDatabase()"
    ).result_rows[0]
    client.command("DROP TABLE target SYNC")
    return {
        "insert_us_per_row": (inserted - began) / rows * 1e6,
        "merge_us_per_row": (merged - inserted) / rows * 1e6,
        "bytes_per_row": size[0] / rows,
        "index_bytes_per_row": size[1] / rows,
    }
