"""What is written has the columns that the tables have; and how migrations and the sink in memory behave."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from inferwatch import TensorSummary, text_message
from processors.archive import TABLES, archive_columns
from processors.enrich.decode import SourceRecord
from processors.enrich.rows import COLUMNS, columns_of
from processors.records import DetectionRecord, RetrainingRun
from storage.migrate import load
from storage.sink import MemorySink
from tests.unit.processors.makers import NOW, TOPIC_ID, embedding, event, pipeline, record, transition

DETECTION = DetectionRecord(
    detection_id="d",
    at=NOW,
    environment="prod",
    model="m",
    signal="duration",
    detector="adwin",
    statistic=1.0,
    threshold=0.5,
    event_ids=("e",),
)
RUN = RetrainingRun(
    run_id="r", at=NOW, alert_id="a", environment="prod", model="m", reason="", status="", dataset="", rows=1
)


def columns_in_sql(table: str) -> set[str]:
    """Return the columns that the migrations give a table, those added later included."""
    text = "\n;\n".join(statement for migration in load() for statement in migration.statements)
    created = re.search(rf"CREATE TABLE IF NOT EXISTS {table}\s*\((.*?)\n\)\s*ENGINE", text, re.DOTALL)
    assert created is not None
    names = {line.split()[0] for line in created[1].splitlines() if re.match(r"\s{4}[a-z_]+ [A-Z]", line)}
    for altered in re.findall(rf"ALTER TABLE {table}\b(.*?)(?=\n;|\Z)", text, re.DOTALL):
        names |= set(re.findall(r"ADD COLUMN (?:IF NOT EXISTS )?(\w+)", altered))
    return names


def test_rows_have_the_columns_of_the_inferences_table() -> None:
    assert COLUMNS.keys() | {"source_topic_id", "ingested_at"} == columns_in_sql("inferences")
    assert columns_of([], TOPIC_ID, NOW).keys() == columns_in_sql("inferences")


@pytest.mark.parametrize(
    "struct", [embedding(1.0), DETECTION, transition(), RUN], ids=lambda struct: type(struct).__name__
)
def test_archived_records_have_the_columns_of_their_tables(struct: msgspec.Struct) -> None:
    tables = {kind: table for table, kind in TABLES.values()}
    columns = archive_columns([struct, struct], NOW + 1.5)
    assert columns.keys() == columns_in_sql(tables[type(struct)])
    assert columns["at"] == [dt.datetime.fromtimestamp(NOW, dt.UTC)] * 2
    assert columns["written_at"] == [dt.datetime.fromtimestamp(NOW + 1.5, dt.UTC)] * 2
    assert {len(values) for values in columns.values()} == {2}


def test_a_vector_is_archived_as_numbers() -> None:
    columns = archive_columns([embedding(0.1, -2.5), embedding(3.0, embedding_model="")], NOW)
    assert columns["vector"] == [[float(np.float32(0.1)), -2.5], [3.0]]
    assert {type(number) for vector in columns["vector"] for number in vector} == {float}
    assert columns["embedding_model"] == ["fake", ""]


def test_no_records_are_no_columns() -> None:
    assert archive_columns([], NOW) == {}


def test_a_row_says_what_the_event_said() -> None:
    one = event(
        started_at=NOW - 1.0000005,
        input_messages=(text_message("user", "x" * 8),),
        output_messages=(text_message("assistant", "y" * 8),),
        time_to_first_token=0.1,
        input_tokens=1_000_000,
        output_tokens=5,
        cache_read_tokens=7,
        finish_reasons=("stop",),
        input_tensors=(TensorSummary(name="x", datatype="FP32", shape=(2**40,)),),
        user="ann",
    )
    batch = pipeline().enrich([SourceRecord(3, 9, record(b"", one).value)], NOW)
    row = {name: values[0] for name, values in columns_of(batch.items, TOPIC_ID, NOW).items()}
    assert row["source_topic_id"] == TOPIC_ID
    assert (row["source_partition"], row["source_offset"], row["source_index"]) == (3, 9, 1)
    assert row["event_id"] == one.event_id
    assert row["started_at"] == round(one.started_at * 1e6)
    assert row["ingested_at"] == dt.datetime.fromtimestamp(NOW, dt.UTC)
    assert (row["input_characters"], row["output_characters"], row["truncated"]) == (8, 8, False)
    assert row["time_per_output_token"] == (0.5 - 0.1) / 4
    assert (row["cost"], row["price"]) == (Decimal("0.0200003"), "smollm2-self-hosted")
    assert json.loads(row["tensors"])["input"] == [{"name": "x", "datatype": "FP32", "shape": [2**40]}]
    assert row["user"] not in ("", "ann")
    assert (row["queue_time"], row["error_type"]) == (None, "")


def test_an_unknown_model_has_a_cost_of_null() -> None:
    batch = pipeline().enrich([SourceRecord(0, 0, record(event(request_model="other", input_tokens=5)).value)], NOW)
    assert columns_of(batch.items, TOPIC_ID, NOW)["cost"] == [None]
    assert batch.items[0].measurement(TOPIC_ID).cost is None


def test_truncated_text_counts_with_its_original_length() -> None:
    one = event(input_messages=(text_message("user", "word, " * 11_667),))
    columns = columns_of(pipeline().enrich([SourceRecord(0, 0, record(one).value)], NOW).items, TOPIC_ID, NOW)
    assert (columns["input_characters"], columns["truncated"]) == ([70_002], [True])
    assert len(json.loads(columns["input_messages"][0])[0]["parts"][0]["content"]) == 65_536


def test_migrations_are_numbered_without_gaps_and_can_run_twice() -> None:
    migrations = load()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    for migration in migrations:
        assert migration.statements
        for statement in migration.statements:
            assert not statement.endswith(";")
            assert "IF NOT EXISTS" in statement or "IF EXISTS" in statement or statement.startswith("ALTER TABLE")


def test_statements_end_at_semicolons_and_comments_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("SELECT 2;")
    (tmp_path / "0001_a.sql").write_text("-- first; not this\nSELECT 1\n  -- nor this\n, ';' AS x;\n\nSELECT 3;\n\n;\n")
    (tmp_path / "notes.sql").write_text("SELECT 4;")
    found = load(tmp_path)
    assert [(migration.number, migration.name) for migration in found] == [(1, "0001_a"), (2, "0002_b")]
    assert found[0].statements == ("SELECT 1\n, ';' AS x", "SELECT 3")
    assert found[1].statements == ("SELECT 2",)


def test_the_sink_in_memory_keeps_rows_and_knows_positions() -> None:
    sink = MemorySink()
    assert sink.positions("a") == {}
    sink.write("inferences", {"source_topic_id": ["a"] * 3, "source_partition": [0, 0, 1], "source_offset": [4, 7, 2]})
    sink.write("inferences", {"source_topic_id": ["a"], "source_partition": [0], "source_offset": [6]})
    sink.write("inferences", {"source_topic_id": ["b"], "source_partition": [0], "source_offset": [1]})
    assert sink.positions("a") == {0: 7, 1: 2}
    assert sink.positions("b") == {0: 1}
    assert sink.tables["inferences"][2] == {"source_topic_id": "a", "source_partition": 1, "source_offset": 2}
    with pytest.raises(ValueError, match="shorter"):
        sink.write("t", {"a": [1, 2], "b": [1]})
