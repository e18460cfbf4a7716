"""What is written has the columns that the tables have; and how migrations and the sink in memory behave."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from inferwatch import TensorSummary, text_message
from inferwatch.events import TelemetryEvent
from processors.archive import TABLES, archive_columns
from processors.enrich.measurements import measurements_of
from processors.enrich.rows import rows_of
from processors.feedback.rows import rows_of as feedback_rows_of
from processors.records import DetectionRecord, Position, RetrainingRun
from processors.settings import EnrichSettings
from processors.telemetry.contents import Telemetry
from storage.memory_sink import MemorySink
from storage.migrate import load
from storage.sink import Appended, Block, Table
from tests.unit.processors.makers import (
    NOW,
    SCANNER,
    TOPIC_ID,
    drops,
    embedding,
    enriched,
    event,
    pipeline,
    record,
    row,
    rows,
    sample,
    source,
    transition,
)

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


BY_THE_SINK = {"source_topic_id", "source_partition", "ingested_at"}
ARRIVED = dt.datetime.fromtimestamp(NOW, dt.UTC)


def test_rows_have_the_columns_of_the_inferences_table() -> None:
    columns = rows_of(enriched(event()))
    assert columns.keys() | BY_THE_SINK == columns_in_sql("inferences")
    assert not columns.keys() & BY_THE_SINK
    assert rows_of(enriched(b"junk")).keys() == columns.keys()


def test_feedback_has_the_columns_of_its_table() -> None:
    columns = feedback_rows_of([], SCANNER, b"")
    assert columns.keys() | BY_THE_SINK == columns_in_sql("feedback")
    assert not columns.keys() & BY_THE_SINK


@pytest.mark.parametrize(("table", "event"), [("server_samples", sample()), ("drop_reports", drops())])
def test_telemetry_has_the_columns_of_its_tables(table: Table, event: TelemetryEvent) -> None:
    columns = Telemetry(EnrichSettings(), SCANNER).rows_of(table, [(Position(0, 1, 2), event)])
    assert columns.keys() | BY_THE_SINK == columns_in_sql(table)
    assert not columns.keys() & BY_THE_SINK


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
    batch = pipeline().enrich([source(record(b"", one).value, 9, 3)], NOW)
    (found,) = rows(batch)
    assert batch.partitions.tolist() == [3]
    assert (found["source_offset"], found["source_index"]) == (9, 1)
    assert found["event_id"] == one.event_id
    assert rows_of(batch)["started_at"].cast(pa.int64()).to_pylist() == [round(one.started_at * 1e6)]
    assert (found["input_characters"], found["output_characters"], found["truncated"]) == (8, 8, False)
    assert found["time_per_output_token"] == (0.5 - 0.1) / 4
    assert (found["cost"], found["price"]) == (Decimal("0.0200003"), "smollm2-self-hosted")
    assert json.loads(found["tensors"])["input"] == [{"name": "x", "datatype": "FP32", "shape": [2**40]}]
    assert found["user"] not in ("", "ann")
    assert (found["queue_time"], found["error_type"], found["finish_reasons"]) == (None, "", ["stop"])


def test_a_sink_adds_where_rows_come_from_and_when_they_came() -> None:
    sink = MemorySink()
    columns = rows_of(pipeline().enrich([source(record(event()).value, 9, 3)], NOW))
    sink.append("inferences", Block(TOPIC_ID, 3, 8, ARRIVED, columns))
    (found,) = sink.tables["inferences"]
    assert found.keys() == columns_in_sql("inferences")
    assert (found["source_topic_id"], found["source_partition"], found["source_offset"]) == (TOPIC_ID, 3, 9)
    assert found["ingested_at"] == ARRIVED


def test_an_unknown_model_has_a_cost_of_null() -> None:
    batch = enriched(event(request_model="other", input_tokens=5))
    assert rows_of(batch)["cost"].to_pylist() == [None]
    assert [measurement.cost for measurement in measurements_of(batch, TOPIC_ID)] == [None]


def test_truncated_text_counts_with_its_original_length() -> None:
    found = row(event(input_messages=(text_message("user", "word, " * 11_667),)))
    assert (found["input_characters"], found["truncated"]) == (70_002, True)
    assert len(json.loads(found["input_messages"])[0]["parts"][0]["content"]) == 65_536


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
    assert sink.positions("inferences", "a") == {}
    sink.write("inferences", {"source_topic_id": ["a"] * 3, "source_partition": [0, 0, 1], "source_offset": [4, 7, 2]})
    sink.write("inferences", {"source_topic_id": ["a"], "source_partition": [0], "source_offset": [6]})
    sink.write("inferences", {"source_topic_id": ["b"], "source_partition": [0], "source_offset": [1]})
    assert sink.positions("inferences", "a") == {0: 7, 1: 2}
    assert sink.positions("inferences", "b") == {0: 1}
    assert sink.positions("feedback", "a") == {}
    assert sink.tables["inferences"][2] == {"source_topic_id": "a", "source_partition": 1, "source_offset": 2}
    with pytest.raises(ValueError, match="shorter"):
        sink.write("t", {"a": [1, 2], "b": [1]})


def test_the_sink_in_memory_appends_each_row_once() -> None:
    sink = MemorySink()

    def block(after: int, *offsets: int) -> Block:
        return Block(TOPIC_ID, 0, after, ARRIVED, {"source_offset": list(offsets)})

    assert sink.append("inferences", block(-1, 0, 0, 1)) == Appended(1, 0)
    assert sink.append("inferences", block(-1, 0, 0, 1)) == Appended(1, 3)
    assert sink.append("inferences", block(-1, 1, 2, 2)) == Appended(2, 1)
    assert sink.append("inferences", block(2)) == Appended(2, 0)
    assert [found["source_offset"] for found in sink.tables["inferences"]] == [0, 0, 1, 2, 2]
    for wrong in (block(0, 0), block(-1, 2, 1)):
        with pytest.raises(ValueError, match="ascend"):
            sink.append("inferences", wrong)
