"""How long things are kept: what may be said, and which statements follow."""

from __future__ import annotations

import re

import pytest

from storage.cluster import ClusterSettings, render
from storage.migrate import load
from storage.retention import BadRetention, RetentionSettings, _change, _lifetimes

DEFAULTS = list(_lifetimes(RetentionSettings()))


def in_migrations(table: str) -> str:
    """Return the last definition of a table in the migrations."""
    statements = [statement for migration in load() for statement in migration.statements]
    return [each for each in statements if each.startswith(f"CREATE TABLE IF NOT EXISTS {table}\n")][-1]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"rows": 0}, "rows"),
        ({"incidents": 0}, "incidents"),
        ({"hours": 40_000}, "hours"),
        ({"rows": 20, "text": 21, "embeddings": 5}, "text"),
        ({"rows": 29, "text": 10}, "embeddings"),
        ({"feedback": 20}, "text"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(values: dict[str, int], name: str) -> None:
    with pytest.raises(BadRetention) as caught:
        RetentionSettings(**values)
    assert caught.value.name == name


@pytest.mark.parametrize("lifetime", DEFAULTS, ids=lambda one: f"{one.table}.{one.column}")
def test_defaults_are_what_migrations_create(lifetime: object) -> None:
    given = next(one for one in DEFAULTS if one is lifetime)
    definition = in_migrations(given.table)
    lines = [line for line in definition.splitlines() if re.search(r"\bTTL\b", line)]
    wanted = [line for line in lines if line.strip().startswith(f"{given.column} " if given.column else "TTL ")]
    if given.days is None:
        assert wanted == []
        return
    assert len(wanted) == 1
    assert f"INTERVAL {given.days} DAY{given.condition}" in wanted[0]


def test_only_a_different_lifetime_is_changed() -> None:
    rows, text = DEFAULTS[0], DEFAULTS[1]
    same = (
        "CREATE TABLE d.inferences (`error_message` String CODEC(ZSTD(1)) TTL toDateTime(ingested_at) +"
        " toIntervalDay(30), `flags` Array(String), INDEX by_id event_id TYPE bloom_filter GRANULARITY 4) ENGINE ="
        " MergeTree PARTITION BY toDate(ingested_at) ORDER BY environment TTL toDateTime(ingested_at) +"
        " toIntervalDay(90) SETTINGS index_granularity = 8192"
    )
    assert _change(rows, same) == ""
    assert _change(text, same) == ""
    assert _change(rows, same.replace("90", "91")).endswith("MODIFY TTL toDateTime(ingested_at) + toIntervalDay(90)")
    assert "MODIFY COLUMN error_message TTL" in _change(text, same.replace("30", "3"))
    assert "MODIFY COLUMN error_message TTL" in _change(text, "CREATE TABLE inferences (`error_message` String)")


@pytest.mark.parametrize("lifetime", DEFAULTS, ids=lambda one: f"{one.table}.{one.column}")
def test_every_change_can_be_given_to_a_sharded_cluster(lifetime: object) -> None:
    given = next(one for one in DEFAULTS if one is lifetime)
    cluster = ClusterSettings("ours", sharded=True)
    statement = _change(given, ") ENGINE = MergeTree ORDER BY at TTL at + toIntervalDay(77)")
    first = render(statement, cluster, "inferwatch")[0]
    assert cluster.stored(given.table) in first.split()
    assert ("ON CLUSTER 'ours'" in first) is cluster.is_sharded(given.table)


def test_a_lifetime_that_was_set_can_be_taken_back() -> None:
    for_ever = next(one for one in DEFAULTS if one.table == "alerts")
    kept = "CREATE TABLE d.alerts (`at` DateTime) ENGINE = MergeTree ORDER BY at"
    assert _change(for_ever, kept) == ""
    assert _change(for_ever, f"{kept} TTL toDateTime(at) + toIntervalDay(5)") == "ALTER TABLE alerts REMOVE TTL"
