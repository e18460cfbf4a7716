from __future__ import annotations

import uuid

import numpy as np

from processors.archive import archive_columns
from processors.records import EmbeddingSample
from storage.queries import Reader
from storage.sink import ClickHouseSink
from tests.support import store_rows

NOW = store_rows.RECENT


def test_positions_are_of_one_topic_by_its_id(sink: ClickHouseSink) -> None:
    assert sink.positions("inferences", "first") == {}
    places = [("first", 0, 4), ("first", 0, 7), ("first", 1, 2), ("it's", 0, 1)]
    rows = [
        {"started_at": NOW, "source_topic_id": topic, "source_partition": partition, "source_offset": offset}
        for topic, partition, offset in places
    ]
    sink.write("inferences", store_rows.inferences(rows))
    assert sink.positions("inferences", "first") == {0: 7, 1: 2}
    assert sink.positions("inferences", "it's") == {0: 1}
    assert sink.positions("inferences", "third") == {}


def test_an_embedding_that_comes_twice_is_one_row_of_numbers(reader: Reader, sink: ClickHouseSink) -> None:
    numbers = np.array([0.1, -2.5, 1e6, 1e-30], dtype="<f4")
    sample = EmbeddingSample(
        event_id=str(uuid.uuid4()),
        at=NOW.timestamp(),
        environment="prod",
        model="m",
        embedding_model="minilm",
        vector=numbers.tobytes(),
    )
    for later in (1.0, 2.0):
        sink.write("embeddings", archive_columns([sample], NOW.timestamp() + later))
    (row,) = reader.rows("SELECT * FROM embeddings FINAL", {})
    assert np.array_equal(np.array(row["vector"], dtype="<f4"), numbers)
    assert (row["event_id"], row["embedding_model"]) == (uuid.UUID(sample.event_id), "minilm")
    assert abs(row["at"].timestamp() - sample.at) < 1e-5
