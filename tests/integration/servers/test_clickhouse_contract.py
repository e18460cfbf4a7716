"""Everything the platform asks of ClickHouse, on the embedded server and, where one is given, on a real one."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.clickhouse import running_store

REAL_URL = os.environ.get("INFERWATCH_CLICKHOUSE_URL")

EVENTS = """
CREATE TABLE events (
    day Date, at DateTime64(6, 'UTC'), id UUID, model LowCardinality(String), status Enum8('ok' = 1, 'error' = 2),
    cost Nullable(Decimal(18, 9)), tags Array(String), vector Array(Float32), attributes Map(String, String),
    tokens UInt32
) ENGINE = MergeTree PARTITION BY day ORDER BY (model, at) TTL toDateTime(at) + INTERVAL 9000 DAY
"""
ROLLUP = """
CREATE TABLE rollup (
    minute DateTime('UTC'), model LowCardinality(String), n AggregateFunction(count),
    digest AggregateFunction(quantilesTDigest(0.5, 0.99), Float64), exact AggregateFunction(quantiles(0.5), Float64)
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(minute) ORDER BY (model, minute)
"""
ROLLUP_VIEW = """
CREATE MATERIALIZED VIEW rollup_mv TO rollup AS SELECT toStartOfMinute(at) AS minute, model, countState() AS n,
    quantilesTDigestState(0.5, 0.99)(toFloat64(tokens)) AS digest, quantilesState(0.5)(toFloat64(tokens)) AS exact
FROM events GROUP BY minute, model
"""
NAMES = ["day", "at", "id", "model", "status", "cost", "tags", "vector", "attributes", "tokens"]
AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Server:
    url: str

    def options(self) -> dict[str, Any]:
        parts = urlsplit(self.url)
        return {
            "host": parts.hostname,
            "port": parts.port or 8123,
            "username": parts.username,
            "password": parts.password or "",
            "autogenerate_session_id": False,
            "tz_mode": "aware",
        }

    def client(self, **more: Any) -> Client:
        return clickhouse_connect.get_client(**{**self.options(), **more})


@contextmanager
def database_of(server: Server) -> Iterator[str]:
    name = f"contract_{uuid.uuid4().hex[:12]}"
    client = server.client()
    client.command(f"CREATE DATABASE {name}")
    try:
        yield name
    finally:
        client.command(f"DROP DATABASE {name} SYNC")
        client.close()


@pytest.fixture(scope="module", params=["embedded", "real"] if REAL_URL else ["embedded"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "embedded":
        with running_store(tmp_path_factory.mktemp("store") / "data") as store:
            yield Server(store.url)
    else:
        yield Server(str(REAL_URL))


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    with database_of(server) as name:
        yield name


@pytest.fixture
def client(server: Server, database: str) -> Iterator[Client]:
    client = server.client(database=database)
    yield client
    client.close()


def columns(rows: int, model: str = "m'; DROP TABLE events --") -> list[list[Any]]:
    return [
        [AT.date()] * rows,
        [AT] * rows,
        [uuid.UUID(int=number) for number in range(rows)],
        [model] * rows,
        ["ok"] * rows,
        [Decimal("0.000000123"), *[None] * (rows - 1)],
        [["a", "b\n'"]] * rows,
        [[0.5, -1.25]] * rows,
        [{"team": "search\t\\"}] * rows,
        list(range(rows)),
    ]


def test_every_type_comes_back_as_it_went_in(client: Client) -> None:
    client.command(EVENTS)
    summary = client.insert("events", columns(3), column_names=NAMES, column_oriented=True)
    assert summary.written_rows == 3
    rows = client.query("SELECT * FROM events ORDER BY tokens").result_rows
    assert rows[0] == (
        AT.date(), AT, uuid.UUID(int=0), "m'; DROP TABLE events --", "ok", Decimal("0.000000123"), ["a", "b\n'"],
        [0.5, -1.25], {"team": "search\t\\"}, 0,
    )  # fmt: skip
    assert [row[5] for row in rows[1:]] == [None, None]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", "tab\t quote' backslash\\ line\n {braces} ; DROP TABLE x"),
        ("UInt64", 2**63),
        ("Decimal(18, 9)", Decimal("1.000000001")),
        ("Array(String)", ["a'b", "c\\d", ""]),
        ("Nullable(String)", None),
        ("DateTime64(6, 'UTC')", AT),
        ("UUID", uuid.UUID(int=7)),
    ],
)
def test_bound_parameters_keep_their_value(client: Client, kind: str, value: Any) -> None:
    result = client.query(f"SELECT {{p:{kind}}} AS p", parameters={"p": value})
    assert result.result_rows == [(value,)]


def test_many_and_long_parameters_arrive(client: Client) -> None:
    names = [f"model-{number}" for number in range(2000)]
    query = "SELECT length({names:Array(String)}), {text:String}"
    assert client.query(query, parameters={"names": names, "text": "x" * 100_000}).result_rows == [
        (2000, "x" * 100_000)
    ]


def test_a_materialised_view_rolls_up_what_is_inserted(client: Client) -> None:
    for statement in (EVENTS, ROLLUP, ROLLUP_VIEW):
        client.command(statement)
    for _ in range(2):
        client.insert("events", columns(1001, "m"), column_names=NAMES, column_oriented=True)
    rows = client.query(
        "SELECT countMerge(n), quantilesTDigestMerge(0.5, 0.99)(digest), quantilesMerge(0.5)(exact) FROM rollup"
    ).result_rows
    (count, digest, exact) = rows[0]
    assert count == 2002
    assert digest == pytest.approx([500, 990], rel=0.01)
    assert exact == [500.0]


def test_every_block_of_a_large_insert_arrives(client: Client) -> None:
    client.command("CREATE TABLE big (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    rows = 1_200_000
    data: list[Any] = [np.arange(rows, dtype=np.uint64), np.full(rows, "abcdefgh", dtype=object)]
    summary = client.insert("big", data, column_names=["n", "s"], column_oriented=True)
    assert summary.written_rows == rows
    found = client.query("SELECT count(), sum(n), uniqExact(n), min(s), max(s) FROM big").result_rows
    assert found == [(rows, rows * (rows - 1) // 2, rows, "abcdefgh", "abcdefgh")]


def test_an_insert_of_a_hundred_thousand_rows_is_one_part(client: Client) -> None:
    client.command("CREATE TABLE wide (day Date, n UInt64, s String) ENGINE = MergeTree PARTITION BY day ORDER BY n")
    rows = 100_000
    data: list[Any] = [[AT.date()] * rows, np.arange(rows, dtype=np.uint64), np.full(rows, "x" * 1200, dtype=object)]
    client.insert("wide", data, column_names=["day", "n", "s"], column_oriented=True)
    parts = "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'wide' AND active"
    assert client.query(parts).result_rows == [(rows,)]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_compressed_both_ways(server: Server, database: str, compress: str | bool) -> None:
    client = server.client(database=database, compress=compress)
    client.command("CREATE TABLE squeezed (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    rows = 20_000
    data: list[list[Any]] = [list(range(rows)), [f"row {number}" * 20 for number in range(rows)]]
    client.insert("squeezed", data, column_names=["n", "s"], column_oriented=True)
    result = client.query("SELECT n, s FROM squeezed ORDER BY n", column_oriented=True).result_columns
    assert [list(column) for column in result] == data
    client.close()


def test_a_large_result_streams_completely(client: Client) -> None:
    total = count = 0
    with client.query_column_block_stream("SELECT number, toString(number) FROM numbers(3000000)") as blocks:
        for block in blocks:
            count += len(block[0])
            total += int(np.sum(np.asarray(block[0], dtype=np.uint64)))
    assert (count, total) == (3_000_000, 3_000_000 * 2_999_999 // 2)


def test_numpy_and_pandas_results(client: Client) -> None:
    assert client.query_np("SELECT number FROM numbers(5)").ravel().tolist() == [0, 1, 2, 3, 4]
    frame = client.query_df("SELECT number AS n, toString(number) AS s FROM numbers(3)")
    assert frame["s"].tolist() == ["0", "1", "2"]


def test_an_empty_result_is_empty(client: Client) -> None:
    client.command(EVENTS)
    assert client.query("SELECT model, tokens FROM events").result_rows == []
    assert client.query("SELECT model, tokens FROM events LIMIT 0").column_names == ("model", "tokens")


def test_ndjson_is_inserted_raw(client: Client) -> None:
    client.command(EVENTS)
    lines = [{"day": "2026-03-01", "at": "2026-03-01T12:30:15.123456Z", "model": "m", "tokens": n} for n in range(50)]
    block = b"\n".join(json.dumps(line).encode() for line in lines)
    summary = client.raw_insert(
        "events", insert_block=block, fmt="JSONEachRow", settings={"date_time_input_format": "best_effort"}
    )
    assert summary.written_rows == 50
    assert client.query("SELECT sum(tokens), min(at) FROM events").result_rows == [(1225, AT)]


def test_raw_queries_answer_in_the_format_asked_for(client: Client) -> None:
    assert client.raw_query("SELECT 1 AS a, 'x' AS b", fmt="JSONEachRow") == b'{"a":1,"b":"x"}\n'
    assert client.raw_query("SELECT 1 AS a FORMAT CSVWithNames") == b'"a"\n1\n'
    assert json.loads(client.raw_query("SELECT number FROM numbers(100000)", fmt="JSON"))["rows"] == 100_000


def test_commands_answer_with_their_value(client: Client) -> None:
    assert client.command("SELECT 41 + 1") == 42
    assert client.command("EXISTS TABLE nowhere") == 0
    client.command("CREATE TABLE one (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert client.command("SHOW TABLES") == "one"
    client.command("INSERT INTO one VALUES (1), (2)")
    client.command("INSERT INTO one SELECT 3")
    assert client.command("SELECT sum(a) FROM one") == 6


def test_settings_last_for_one_request(client: Client) -> None:
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 777}) == 777
    assert client.command("SELECT getSetting('max_block_size')") != 777


def test_a_repeated_insert_with_its_token_is_taken_once(client: Client) -> None:
    client.command(
        "CREATE TABLE once (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    for token in ("first", "first", "second"):
        client.insert("once", [[1, 2]], ["a"], column_oriented=True, settings={"insert_deduplication_token": token})
    assert client.command("SELECT count() FROM once") == 4


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT * FROM nowhere", 60),
        ("SELECT nothing", 47),
        ("SELEC 1", 62),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT throwIf(number = 3) FROM numbers(10)", 395),
        (
            "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1 SETTINGS max_execution_time = 0.2",
            159,
        ),
        ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 50000000", 241),
    ],
)
def test_errors_carry_their_code(client: Client, query: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(query)
    assert caught.value.code == code


def test_errors_of_inserts_carry_their_code_and_insert_nothing(client: Client) -> None:
    client.command("CREATE TABLE strict (a UInt8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError) as missing:
        client.raw_insert("nowhere", ["a"], b"1\n", fmt="TSV")
    with pytest.raises(DatabaseError) as malformed:
        client.raw_insert("strict", ["a"], b"1\n2\nthree\n", fmt="TSV")
    assert (missing.value.code, malformed.value.code) == (60, 27)
    assert client.command("SELECT count() FROM strict") == 0


def test_an_error_late_in_a_stream_is_an_error(client: Client) -> None:
    query = "SELECT number, repeat('x', 100), throwIf(number = 900000) FROM numbers(1000000)"
    with pytest.raises(DatabaseError, match="throwIf"), client.query_column_block_stream(query) as blocks:
        for _ in blocks:
            pass


async def test_the_asynchronous_client(server: Server, database: str) -> None:
    client = await clickhouse_connect.get_async_client(**server.options(), database=database)
    try:
        await client.command(EVENTS)
        await client.insert("events", columns(10), column_names=NAMES, column_oriented=True)
        result = await client.query("SELECT sum(tokens) FROM events WHERE tokens < {n:UInt32}", parameters={"n": 5})
        assert result.result_rows == [(10,)]
        with pytest.raises(DatabaseError) as caught:
            await client.query("SELECT * FROM nowhere")
        assert caught.value.code == 60
    finally:
        await client.close()


def test_ping(server: Server) -> None:
    client = server.client()
    assert client.ping()
    client.close()
