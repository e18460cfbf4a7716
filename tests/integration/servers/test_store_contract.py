"""Everything the platform asks of ClickHouse, on the embedded server and, where one is given, on a real one."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from storage.addresses import is_loopback
from storage.client import connect, translated_errors
from storage.cluster import ClusterSettings
from storage.errors import StoreUnavailable
from tests.support.contract import Server

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
        ("Date", AT.date()),
        ("Int64", -(2**63)),
        ("UInt16", 65_535),
        ("UInt32", 2**32 - 1),
        ("Bool", True),
        ("Float64", 0.1),
        ("LowCardinality(String)", "m'\n"),
        ("Array(UInt32)", [1, 2, 3]),
        ("Array(UInt64)", [2**63]),
        ("Array(Int64)", [-1, 0]),
        ("Array(UUID)", [uuid.UUID(int=1), uuid.UUID(int=2)]),
        ("Array(Array(String))", [["a"], [], ["b'", "c"]]),
        ("Array(Tuple(String, UInt32))", [("a'", 1), ("b", 2)]),
        ("Tuple(String, UInt32)", ("a", 1)),
    ],
)
def test_bound_parameters_keep_their_value(client: Client, kind: str, value: Any) -> None:
    result = client.query(f"SELECT {{p:{kind}}} AS p", parameters={"p": value})
    assert result.result_rows == [(value,)]


def test_a_map_is_bound_as_text(client: Client) -> None:
    # As a dictionary the driver would send JSON, which ClickHouse does not read as a Map.
    assert client.query(
        "SELECT {p:Map(UInt32, UInt64)} AS p", parameters={"p": "{1:2,3:9223372036854775808}"}
    ).result_rows == [({1: 2, 3: 2**63},)]


def test_many_and_long_parameters_arrive(client: Client) -> None:
    names = [f"model-{number}" for number in range(2000)]
    query = "SELECT length({names:Array(String)}), {text:String}"
    assert client.query(query, parameters={"names": names, "text": "x" * 100_000}).result_rows == [
        (2000, "x" * 100_000)
    ]


def test_a_parameter_can_name_a_table(client: Client) -> None:
    client.command("CREATE TABLE `a b` (n UInt8) ENGINE = MergeTree ORDER BY n")
    client.command("INSERT INTO {table:Identifier} VALUES (1)", {"table": "a b"})
    where = {"database": client.database, "table": "a b"}
    assert client.query("SELECT n FROM {database:Identifier}.{table:Identifier}", where).result_rows == [(1,)]


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


def test_arrow_results(client: Client) -> None:
    table = client.query_arrow("SELECT number AS n, toString(number) AS s FROM numbers(3)")
    assert table.to_pydict() == {"n": [0, 1, 2], "s": ["0", "1", "2"]}


def test_nested_and_absent_values_come_back(client: Client) -> None:
    row = client.query(
        "SELECT map('a', 1)::Map(LowCardinality(String), UInt64), [(1, 'x')]::Array(Tuple(n UInt8, s String)),"
        " CAST(NULL, 'Nullable(Decimal(18, 9))'), toDecimal128('12345678901234567890.000000001', 9),"
        " CAST('ok', 'LowCardinality(Nullable(String))'), toDate('2026-03-01'), true"
    ).result_rows[0]
    assert row == (
        {"a": 1}, [{"n": 1, "s": "x"}], None, Decimal("12345678901234567890.000000001"), "ok", date(2026, 3, 1), True,
    )  # fmt: skip


def test_an_empty_result_is_empty(client: Client) -> None:
    client.command(EVENTS)
    assert client.query("SELECT model, tokens FROM events").result_rows == []
    assert client.query("SELECT model, tokens FROM events LIMIT 0").column_names == ("model", "tokens")


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


@pytest.mark.parametrize("compress", [None, True, False])
def test_the_platforms_own_client_writes_and_reads(server: Server, database: str, compress: bool | None) -> None:
    client = connect(replace(server.settings(database), compress=compress))
    wanted = not is_loopback(urlsplit(server.url).hostname or "") if compress is None else compress
    assert client.write_compression == ("lz4" if wanted else None)
    client.command(EVENTS)
    client.insert("events", columns(5000), column_names=NAMES, column_oriented=True)
    assert client.query("SELECT count(), sum(tokens), any(attributes) FROM events").result_rows == [
        (5000, 5000 * 4999 // 2, {"team": "search\t\\"})
    ]
    assert client.command("SELECT getSetting('max_execution_time')") == 60
    client.close()


@pytest.mark.parametrize("sharded", [False, True])
def test_settings_for_a_cluster_are_known_to_the_server(server: Server, database: str, sharded: bool) -> None:
    cluster = ClusterSettings("main", sharded=sharded)
    client = connect(replace(server.settings(database), cluster=cluster))
    for name, value in cluster.session().items():
        assert str(client.command(f"SELECT getSetting('{name}')")) in (str(value), str(bool(value)).lower())
    client.close()


def test_a_statement_stops_when_its_client_stops_waiting(server: Server, database: str) -> None:
    impatient = replace(server.settings(database), query_seconds=0.5)
    client = connect(impatient)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="159"), translated_errors(server.url):
        client.query("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1")
    assert time.monotonic() - began < 4
    client.close()


def test_a_client_that_no_longer_waits_can_go_on(server: Server, database: str) -> None:
    client = server.client(database=database, send_receive_timeout=1, query_retries=0)
    with pytest.raises(OperationalError):
        client.query("SELECT sleep(2.5)")
    assert client.command("SELECT 1") == 1
    client.close()


def test_a_killed_query_says_so(server: Server, client: Client) -> None:
    errors: list[DatabaseError] = []
    mark = uuid.uuid4().hex

    def endless() -> None:
        mine = server.client()
        try:
            mine.query(f"SELECT /* {mark} */ count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1")
        except DatabaseError as error:
            errors.append(error)
        finally:
            mine.close()

    thread = threading.Thread(target=endless)
    thread.start()
    # Its own text has the mark too; it is not the one that counts.
    kill = f"KILL QUERY WHERE query LIKE '%{mark}%' AND query LIKE 'SELECT%' ASYNC"
    deadline = time.monotonic() + 20
    while thread.is_alive() and time.monotonic() < deadline:
        client.command(kill)
        thread.join(0.1)
    assert [error.code for error in errors] == [394]
