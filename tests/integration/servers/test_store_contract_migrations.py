"""A database is brought up to date once, whoever asks, however often, and wherever it was left."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from inferwatch.clock import SystemClock
from storage.client import StoreSettings, connect
from storage.cluster import ClusterSettings, render
from storage.errors import MigrationUnderWay, SchemaTooNew, SchemaTooOld, StoreUnavailable
from storage.migrate import Migration, check, load, migrate
from storage.migration_lease import Lease, held
from storage.rollups import ROLLUPS, Rollups
from tests.support.contract import Server
from tests.support.store_rows import inferences

MIGRATIONS = load()
NEWEST = MIGRATIONS[-1].number
BOOKS = ("schema_migrations", "migration_lease")


@pytest.fixture
def settings(server: Server, new_database: str) -> StoreSettings:
    return server.settings(new_database)


@pytest.fixture
def client(settings: StoreSettings) -> Iterator[Client]:
    """Can only be had after the database was made."""
    migrate(settings, ())
    client = connect(settings)
    yield client
    client.close()


def schema(client: Client) -> dict[str, str]:
    """Every table but those of the migrations themselves, as the server tells of it."""
    tables = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    rows = client.query(tables).result_rows
    return {str(name): str(made).replace(str(client.database), "db") for name, made in rows if name not in BOOKS}


def applied(client: Client) -> list[int]:
    return [int(row[0]) for row in client.query("SELECT number FROM schema_migrations ORDER BY number").result_rows]


def test_a_database_is_made_and_a_second_run_finds_nothing_to_do(settings: StoreSettings, client: Client) -> None:
    assert migrate(settings) == tuple(migration.name for migration in MIGRATIONS)
    before = schema(client)
    assert {"inferences", "metrics_1m", "metrics_1h", "pii_hits", "feedback", "audit_log"} <= before.keys()
    assert migrate(settings) == ()
    assert (schema(client), applied(client)) == (before, [migration.number for migration in MIGRATIONS])
    check(settings)


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda migration: migration.name)
def test_a_run_that_is_killed_after_any_statement_is_finished_by_the_next(
    settings: StoreSettings, client: Client, migration: Migration
) -> None:
    migrate(settings)
    wanted = schema(client)
    for table in wanted:
        client.command(f"DROP TABLE IF EXISTS {table} SYNC")
    client.command("TRUNCATE TABLE schema_migrations")
    migrate(settings, MIGRATIONS[: migration.number - 1])
    for reached in range(1, len(migration.statements) + 1):
        for statement in migration.statements[:reached]:
            client.command(statement)
    migrate(settings)
    assert schema(client) == wanted


def test_a_server_that_fails_in_the_middle_leaves_what_can_be_finished(settings: StoreSettings, client: Client) -> None:
    slow = "SELECT count() FROM numbers(1000000000000) SETTINGS max_execution_time = 0.1"
    broken = Migration(1, "0001_tables", (*MIGRATIONS[0].statements[:2], slow, *MIGRATIONS[0].statements[2:]))
    with pytest.raises(StoreUnavailable):
        migrate(settings, (broken,))
    assert applied(client) == []
    assert migrate(settings) == tuple(migration.name for migration in MIGRATIONS)


def test_of_several_runs_at_once_one_works_and_the_others_wait(settings: StoreSettings) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: migrate(settings), range(4)))
    assert sorted(done, key=len) == [(), (), (), tuple(migration.name for migration in MIGRATIONS)]
    check(settings)


def test_a_lease_has_one_holder_until_it_is_given_up(client: Client) -> None:
    first, second = Lease(client), Lease(client)
    assert first.renew() is None
    assert second.renew() == first.holder
    assert first.renew() is None
    first.give_up()
    assert second.renew() is None
    assert first.renew() == second.holder


def test_a_lease_whose_holder_was_killed_ends_by_itself(client: Client) -> None:
    killed = Lease(client)
    assert killed.renew(1) is None
    waits: list[float] = []
    with held(client, waits.append) as lease:
        assert lease.renew() is None
    assert len(waits) > 1


def test_a_lease_that_never_ends_is_not_waited_for_for_ever(client: Client) -> None:
    other = Lease(client)
    assert other.renew(100_000) is None
    asked = 0

    def as_if_slept(seconds: float) -> None:
        nonlocal asked
        asked += 1

    with pytest.raises(MigrationUnderWay) as caught, held(client, as_if_slept, longest_wait_seconds=3.0):
        pass
    assert (caught.value.holder, asked) == (other.holder, 12)


def test_a_newer_schema_is_refused_in_words(settings: StoreSettings, client: Client) -> None:
    migrate(settings)
    client.command(f"INSERT INTO schema_migrations SELECT {NEWEST + 1}, 'later', now64(3)")
    for look in (migrate, check):
        with pytest.raises(SchemaTooNew, match=f"at migration {NEWEST + 1}; this version of Inferwatch knows {NEWEST}"):
            look(settings)


def test_an_older_schema_is_told_of_without_changing_it(settings: StoreSettings, client: Client) -> None:
    migrate(settings, MIGRATIONS[:1])
    with pytest.raises(SchemaTooOld, match="inferwatch migrate"):
        check(settings)
    assert applied(client) == [1]


def test_a_database_that_is_not_there_is_an_old_one(settings: StoreSettings) -> None:
    with pytest.raises(SchemaTooOld) as caught:
        check(settings)
    assert caught.value.found == 0


def old_rows(arrived: dt.datetime, rows: int) -> dict[str, list[Any]]:
    """Rows as they were written when there was only the first migration."""
    made = [
        {
            "event_id": uuid.uuid4(),
            "started_at": arrived - dt.timedelta(seconds=number % 50),
            "source_partition": number % 2,
            "source_offset": number // 2,
            "input_tokens": 3,
            "output_tokens": 4,
            "pii": [("EMAIL_ADDRESS", "input", 2)] if number % 5 == 0 else [],
        }
        for number in range(rows)
    ]
    columns = inferences(made, arrived)
    first = "\n".join(MIGRATIONS[0].statements)
    return {name: values for name, values in columns.items() if re.search(rf"^\s+{name} ", first, re.MULTILINE)}


def test_rows_of_the_first_schema_survive_and_are_counted_again(settings: StoreSettings, client: Client) -> None:
    migrate(settings, MIGRATIONS[:1])
    now = dt.datetime.now(dt.UTC)
    for arrived in (now, now - dt.timedelta(days=2)):
        columns = old_rows(arrived, 500)
        client.insert("inferences", list(columns.values()), column_names=list(columns), column_oriented=True)
    assert client.command("SELECT sum(requests) FROM metrics_1m") == 1000
    checksum = "SELECT count(), sum(cityHash64(event_id, source_partition, source_offset, started_at)) FROM inferences"
    before = client.query(checksum).result_rows
    migrate(settings)
    assert client.query(checksum).result_rows == before
    rollups = Rollups(settings, SystemClock(), pauses=dict.fromkeys(ROLLUPS, 0.0))
    try:
        for _ in range(100):
            if not any(step.more or step.rows for step in rollups.advance().values()):
                break
    finally:
        rollups.close()
    for table in ("metrics_1m", "metrics_1h"):
        figures = f"SELECT sum(requests), sum(input_tokens), sum(output_tokens) FROM {table} WHERE environment != ''"
        assert client.query(figures).result_rows == [(1000, 3000, 4000)]
    assert client.query("SELECT sum(hits) FROM pii_hits WHERE environment != ''").result_rows == [(400,)]


@pytest.mark.parametrize("sharded", [False, True], ids=["replicated", "sharded"])
def test_the_engine_can_read_what_a_cluster_is_given(client: Client, sharded: bool) -> None:
    cluster = ClusterSettings("main", sharded=sharded)
    statements = [statement for migration in MIGRATIONS for statement in migration.statements]
    for statement in ("CREATE DATABASE IF NOT EXISTS `watch`", *statements):
        for rendered in render(statement, cluster, "watch"):
            tree = str(client.command(f"EXPLAIN AST {rendered}"))
            assert tree.split()[0] in ("CreateQuery", "AlterQuery", "DropQuery"), rendered
            formatted = str(client.command("SELECT formatQuerySingleLine({sql:String})", {"sql": rendered}))
            assert ("ON CLUSTER main" in formatted) is (cluster.on in rendered)
