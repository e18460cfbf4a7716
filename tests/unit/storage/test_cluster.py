"""What the migrations become on a cluster, word for word."""

from __future__ import annotations

import pickle
import re

import pytest

from storage.cluster import SHARD_KEYS, ClusterSettings, render
from storage.errors import ClusterRefused
from storage.migrate import load

REPLICATED = ClusterSettings("main")
SHARDED = ClusterSettings("main", sharded=True)
STATEMENTS = [statement for migration in load() for statement in migration.statements]


def rendered(cluster: ClusterSettings) -> list[str]:
    return [one for statement in STATEMENTS for one in render(statement, cluster, "watch")]


def test_a_replicated_table_is_the_same_table_on_every_node() -> None:
    statement = (
        "CREATE TABLE IF NOT EXISTS t\n(\n    a UInt8 CODEC(ZSTD(3)),\n"
        "    engine String DEFAULT 'ENGINE = MergeTree'\n)\n"
        "ENGINE = ReplacingMergeTree(a)\nORDER BY a\nSETTINGS non_replicated_deduplication_window = 10000, x = 'y'"
    )
    assert render(statement, REPLICATED, "watch") == (
        "CREATE TABLE IF NOT EXISTS t ON CLUSTER 'main'\n(\n    a UInt8 CODEC(ZSTD(3)),\n"
        "    engine String DEFAULT 'ENGINE = MergeTree'\n)\n"
        "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}', '{replica}', a)\nORDER BY a\n"
        "SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, x = 'y'",
    )


def test_a_sharded_table_is_a_local_one_below_a_distributed_one() -> None:
    statement = "CREATE TABLE IF NOT EXISTS inferences (a UInt8) ENGINE = MergeTree ORDER BY a"
    assert render(statement, SHARDED, "watch") == (
        "CREATE TABLE IF NOT EXISTS inferences_local ON CLUSTER 'main' (a UInt8)"
        " ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') ORDER BY a",
        "CREATE OR REPLACE TABLE inferences ON CLUSTER 'main' AS inferences_local\n"
        "ENGINE = Distributed('main', 'watch', 'inferences_local', cityHash64(source_topic_id, source_partition))",
    )


def test_a_small_table_has_a_copy_on_every_node_of_every_shard() -> None:
    statement = "CREATE TABLE IF NOT EXISTS metrics_1m (a UInt8) ENGINE = AggregatingMergeTree ORDER BY a"
    assert render(statement, SHARDED, "watch") == (
        "CREATE TABLE IF NOT EXISTS metrics_1m ON CLUSTER 'main' (a UInt8)"
        " ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}', '{shard}-{replica}') ORDER BY a",
    )


@pytest.mark.parametrize(
    ("statement", "replicated", "sharded"),
    [
        (
            "ALTER TABLE inferences ADD COLUMN IF NOT EXISTS a String AFTER b",
            ["ALTER TABLE inferences ADD COLUMN IF NOT EXISTS a String AFTER b"],
            [
                "ALTER TABLE inferences_local ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS a String AFTER b",
                "CREATE OR REPLACE TABLE inferences ON CLUSTER 'main' AS inferences_local\nENGINE = Distributed("
                "'main', 'watch', 'inferences_local', cityHash64(source_topic_id, source_partition))",
            ],
        ),
        (
            "ALTER TABLE inferences MODIFY SETTING non_replicated_deduplication_window = 5,\n    b = 'c'",
            ["ALTER TABLE inferences MODIFY SETTING replicated_deduplication_window = 5,"
             " replicated_deduplication_window_seconds = 604800,\n    b = 'c'"],
            ["ALTER TABLE inferences_local ON CLUSTER 'main' MODIFY SETTING replicated_deduplication_window = 5,"
             " replicated_deduplication_window_seconds = 604800,\n    b = 'c'"],
        ),
        (
            "ALTER TABLE state ADD INDEX IF NOT EXISTS i a TYPE minmax, MODIFY TTL a + INTERVAL 1 DAY",
            ["ALTER TABLE state ADD INDEX IF NOT EXISTS i a TYPE minmax, MODIFY TTL a + INTERVAL 1 DAY"],
            ["ALTER TABLE state ADD INDEX IF NOT EXISTS i a TYPE minmax, MODIFY TTL a + INTERVAL 1 DAY"],
        ),
        (
            "DROP TABLE IF EXISTS inferences",
            ["DROP TABLE IF EXISTS inferences ON CLUSTER 'main' SYNC"],
            ["DROP TABLE IF EXISTS inferences ON CLUSTER 'main' SYNC",
             "DROP TABLE IF EXISTS inferences_local ON CLUSTER 'main' SYNC"],
        ),
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO hits AS\nSELECT a FROM inferences ARRAY JOIN pii AS hit",
            ["CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER 'main' TO hits AS\n"
             "SELECT a FROM inferences ARRAY JOIN pii AS hit"],
            ["CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER 'main' TO hits AS\n"
             "SELECT a FROM inferences_local ARRAY JOIN pii AS hit"],
        ),
        (
            "CREATE DATABASE IF NOT EXISTS `watch`",
            ["CREATE DATABASE IF NOT EXISTS `watch` ON CLUSTER 'main'"],
            ["CREATE DATABASE IF NOT EXISTS `watch` ON CLUSTER 'main'"],
        ),
    ],
)  # fmt: skip
def test_statements_hold_on_the_whole_cluster(statement: str, replicated: list[str], sharded: list[str]) -> None:
    assert list(render(statement, REPLICATED, "watch")) == replicated
    assert list(render(statement, SHARDED, "watch")) == sharded


@pytest.mark.parametrize("cluster", [REPLICATED, SHARDED], ids=["replicated", "sharded"])
def test_no_table_of_the_migrations_is_left_to_one_node(cluster: ClusterSettings) -> None:
    for statement in rendered(cluster):
        assert not re.search(r"ENGINE = (?!Replicated|Distributed)", statement)
        assert "non_replicated" not in statement
        assert statement.startswith("ALTER TABLE") or " ON CLUSTER 'main'" in statement.split("\n")[0]


def test_every_sharded_table_has_both_of_its_faces() -> None:
    made = re.findall(r"CREATE (?:OR REPLACE TABLE|TABLE IF NOT EXISTS) (\w+)", "\n".join(rendered(SHARDED)))
    for table, _ in SHARD_KEYS:
        assert {table, f"{table}_local"} <= set(made)
    assert "metrics_1m_local" not in made
    assert not any(statement.startswith("ALTER TABLE inferences ") for statement in rendered(SHARDED))


def test_shard_keys_can_be_chosen() -> None:
    cluster = ClusterSettings("main", sharded=True, shard_keys=(("state", "sipHash64(component)"),))
    made = render("CREATE TABLE IF NOT EXISTS state (a UInt8) ENGINE = MergeTree ORDER BY a", cluster, "watch")
    assert made[1].endswith("ENGINE = Distributed('main', 'watch', 'state_local', sipHash64(component))")
    assert (cluster.stored("state"), cluster.stored("inferences")) == ("state_local", "inferences")


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE TABLE inferences",
        "INSERT INTO inferences SELECT 1",
        "CREATE TABLE inferences (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Log",
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = GraphiteMergeTree('x') ORDER BY a",
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = ReplicatedMergeTree('/x', 'y') ORDER BY a",
        "CREATE TABLE IF NOT EXISTS t (a String DEFAULT ' ENGINE = MergeTree')",
        "CREATE TABLE IF NOT EXISTS t AS inferences",
        "CREATE TABLE IF NOT EXISTS t (a UInt8 ENGINE = MergeTree ORDER BY a",
        "CREATE TABLE IF NOT EXISTS t (a String DEFAULT 'x) ENGINE = MergeTree ORDER BY a",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = MergeTree ORDER BY a AS SELECT a FROM t",
        "ALTER TABLE inferences DELETE WHERE 1",
        "ALTER TABLE inferences UPDATE a = 1 WHERE 1",
        "ALTER TABLE inferences DROP PARTITION '2026-03-01'",
        "ALTER TABLE inferences REPLACE PARTITION '2026-03-01' FROM t",
        "ALTER TABLE inferences ADD COLUMN a String, DELETE WHERE 1",
        "ALTER TABLE inferences ADD COLUMN a String, SOMETHING new",
        "ALTER TABLE other.inferences ADD COLUMN a String",
        "DROP TABLE IF EXISTS t ON CLUSTER other",
        "",
    ],
)
def test_what_is_not_understood_is_refused(statement: str) -> None:
    with pytest.raises(ClusterRefused) as caught:
        render(statement, SHARDED, "watch")
    assert caught.value.text == statement


@pytest.mark.parametrize(
    "parts",
    [
        {"name": "a'b"},
        {"name": ""},
        {"replica": "{replica}' --"},
        {"shard": "a b"},
        {"path": "clickhouse"},
        {"path": "/a'/b"},
        {"shard_keys": (("a b", "rand()"),)},
    ],
)
def test_names_that_would_end_a_string_are_refused(parts: dict[str, str]) -> None:
    with pytest.raises(ClusterRefused):
        ClusterSettings(**{"name": "main", **parts})  # type: ignore[arg-type]  # the point of the test


def test_settings_can_be_compared_and_sent_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(SHARDED)) == SHARDED
    assert len({SHARDED, REPLICATED, ClusterSettings("main")}) == 2


def test_a_writer_reads_what_was_acknowledged() -> None:
    assert REPLICATED.session()["select_sequential_consistency"] == 1
    assert REPLICATED.session()["insert_quorum"] == "auto"
    assert "distributed_foreground_insert" not in REPLICATED.session()
    assert SHARDED.session()["distributed_foreground_insert"] == 1
