"""What inserts promise: all or nothing, each once, and every block of them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.contract import Server

AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ONCE = (
    "CREATE TABLE once (day Date DEFAULT '2026-03-01', n UInt64, s String) ENGINE = MergeTree PARTITION BY day"
    " ORDER BY n SETTINGS non_replicated_deduplication_window = 1000"
)


ROWS = 150_000
# The checksum of what `many_rows` makes, made by the server itself.
MANY = "SELECT number AS n, concat('row ', toString(number % 1000), repeat('é', number % 7)) AS s FROM numbers({rows})"


def many_rows(rows: int = ROWS) -> list[Any]:
    return [np.arange(rows, dtype=np.uint64), [f"row {number % 1000}{'é' * (number % 7)}" for number in range(rows)]]


def has_them_all(client: Client, table: str, rows: int = ROWS) -> None:
    figures = "SELECT count(), sum(n), uniqExact(n), sum(cityHash64(n, s)) FROM"
    wanted = client.query(f"{figures} ({MANY.format(rows=rows)})").result_rows
    assert client.query(f"{figures} {table}").result_rows == wanted


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_every_block_of_a_large_insert_arrives(server: Server, database: str, compress: str | bool) -> None:
    client = server.client(database=database, compress=compress)
    client.command("CREATE TABLE many (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    summary = client.insert("many", many_rows(), column_names=["n", "s"], column_oriented=True)
    assert summary.written_rows == ROWS
    has_them_all(client, "many")
    back = client.query("SELECT n, s FROM many ORDER BY n", column_oriented=True).result_columns
    assert [list(column) for column in back] == [list(column) for column in many_rows()]
    client.close()


def test_more_than_fits_into_a_block_arrives(client: Client) -> None:
    client.command("CREATE TABLE big (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    data: list[Any] = [np.arange(1_200_000, dtype=np.uint64), np.full(1_200_000, "abcdefgh", dtype=object)]
    assert client.insert("big", data, column_names=["n", "s"], column_oriented=True).written_rows == 1_200_000
    assert client.query("SELECT count(), uniqExact(n), min(s), max(s) FROM big").result_rows == [
        (1_200_000, 1_200_000, "abcdefgh", "abcdefgh")
    ]


def in_rows(client: Client) -> None:
    client.insert("many", list(zip(*many_rows(), strict=True)), column_names=["n", "s"])


def as_an_arrow_table(client: Client) -> None:
    numbers, texts = many_rows()
    client.insert_arrow("many", pa.table({"n": numbers, "s": texts}))


def as_a_data_frame(client: Client) -> None:
    numbers, texts = many_rows()
    client.insert_df("many", pd.DataFrame({"n": numbers, "s": texts}))


def as_lines(client: Client) -> None:
    lines = "".join(f"{number}\t{text}\n" for number, text in zip(*many_rows(), strict=True))
    client.raw_insert("many", ["n", "s"], lines.encode(), fmt="TSV")


def piece_by_piece(client: Client) -> None:
    lines = (f"{number}\t{text}\n".encode() for number, text in zip(*many_rows(), strict=True))
    client.raw_insert("many", ["n", "s"], lines, fmt="TSV")


@pytest.mark.parametrize(
    "send",
    [in_rows, as_an_arrow_table, as_a_data_frame, as_lines, piece_by_piece],
    ids=lambda send: send.__name__,
)
def test_rows_arrive_in_whatever_form_they_are_sent(client: Client, send: Callable[[Client], None]) -> None:
    client.command("CREATE TABLE many (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    send(client)
    has_them_all(client, "many")


def test_numbers_of_numpy_keep_their_value(client: Client) -> None:
    client.command(
        "CREATE TABLE numbers_of (a UInt32, b Int64, c Float64, d Nullable(Float64), e Bool, f DateTime64(6, 'UTC'),"
        " g LowCardinality(String)) ENGINE = MergeTree ORDER BY a"
    )
    micros = int(AT.timestamp()) * 1_000_000 + AT.microsecond
    data: list[Any] = [
        np.array([1, 2**32 - 1], np.uint32),
        np.array([-(2**63), 2**63 - 1], np.int64),
        np.array([0.1, np.inf]),
        [None, 0.25],
        np.array([True, False]),
        [micros, 0],
        np.array(["a", "b"], dtype=object),
    ]
    client.insert("numbers_of", data, column_names=list("abcdefg"), column_oriented=True)
    assert client.query("SELECT * FROM numbers_of ORDER BY a").result_rows == [
        (1, -(2**63), 0.1, None, True, AT, "a"),
        (2**32 - 1, 2**63 - 1, float("inf"), 0.25, False, datetime(1970, 1, 1, tzinfo=UTC), "b"),
    ]


def test_money_and_nested_values_arrive(client: Client) -> None:
    client.command(
        "CREATE TABLE nested (id UUID, cost Nullable(Decimal(18, 9)), pii Array(Tuple(entity_type"
        " LowCardinality(String), place LowCardinality(String), hits UInt32)), attributes Map(LowCardinality(String),"
        " String), offsets Map(LowCardinality(String), Int64)) ENGINE = MergeTree ORDER BY id"
    )
    ids = [uuid.UUID(int=1), uuid.UUID(int=2)]
    data: list[Any] = [ids, [Decimal("0.000000123"), None], [[("EMAIL", "input", 2)], []], [{"a": "b'"}, {}],
                       [{"t": -1}, {}]]  # fmt: skip
    names = ["id", "cost", "pii", "attributes", "offsets"]
    client.insert("nested", data, column_names=names, column_oriented=True)
    rows = client.query("SELECT * FROM nested ORDER BY id").result_rows
    assert rows[0][1:] == (
        Decimal("0.000000123"), [{"entity_type": "EMAIL", "place": "input", "hits": 2}], {"a": "b'"}, {"t": -1},
    )  # fmt: skip
    assert rows[1][1:] == (None, [], {}, {})


def test_an_insert_of_a_hundred_thousand_rows_is_one_part(client: Client) -> None:
    client.command("CREATE TABLE wide (day Date, n UInt64, s String) ENGINE = MergeTree PARTITION BY day ORDER BY n")
    rows = 100_000
    data: list[Any] = [[AT.date()] * rows, np.arange(rows, dtype=np.uint64), np.full(rows, "x" * 1200, dtype=object)]
    client.insert("wide", data, column_names=["day", "n", "s"], column_oriented=True)
    parts = "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'wide' AND active"
    assert client.query(parts).result_rows == [(rows,)]


def test_errors_of_inserts_carry_their_code_and_insert_nothing(client: Client) -> None:
    client.command("CREATE TABLE strict (a UInt8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError) as missing:
        client.raw_insert("nowhere", ["a"], b"1\n", fmt="TSV")
    with pytest.raises(DatabaseError) as malformed:
        client.raw_insert("strict", ["a"], b"1\n2\nthree\n", fmt="TSV")
    assert (missing.value.code, malformed.value.code) == (60, 27)
    assert client.command("SELECT count() FROM strict") == 0


def test_a_value_that_does_not_fit_inserts_nothing(client: Client) -> None:
    client.command("CREATE TABLE strict (a UInt8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(Exception, match="a"):
        client.insert("strict", [[1] * 50_000 + [None]], column_names=["a"], column_oriented=True)
    assert client.command("SELECT count() FROM strict") == 0


def once(client: Client, token: str, numbers: list[int], day: str = "2026-03-01") -> None:
    days = [datetime.fromisoformat(day).date()] * len(numbers)
    client.insert("once", [days, numbers, ["x"] * len(numbers)], column_names=["day", "n", "s"], column_oriented=True,
                  settings={"insert_deduplication_token": token})  # fmt: skip


def test_a_repeated_insert_with_its_token_is_taken_once(client: Client) -> None:
    client.command(ONCE)
    for token, numbers in (("first", [1, 2]), ("first", [1, 2]), ("first", [3, 4]), ("second", [1, 2])):
        once(client, token, numbers)
    assert client.query("SELECT n, count() FROM once GROUP BY n ORDER BY n").result_rows == [(1, 2), (2, 2)]


def test_tokens_count_within_one_partition_of_a_table(client: Client) -> None:
    client.command(ONCE)
    once(client, "same", [1], "2026-03-01")
    once(client, "same", [2], "2026-03-02")
    once(client, "same", [3], "2026-03-02")
    assert client.query("SELECT n FROM once ORDER BY n").result_rows == [(1,), (2,)]


def test_an_insert_of_what_a_query_finds_has_a_token_too(client: Client) -> None:
    client.command(ONCE)
    for rows in (1000, 1000, 2000):
        client.command(
            "INSERT INTO once (n, s) SELECT number, toString(number) FROM numbers({rows:UInt64})",
            {"rows": rows},
            settings={"insert_deduplication_token": "roll:1"},
        )
    assert client.command("SELECT count() FROM once") == 1000


def test_a_step_of_several_queries_is_one_part(client: Client) -> None:
    client.command(ONCE)
    client.command(
        "INSERT INTO once (n, s) SELECT number, 'row' FROM numbers(100000) GROUP BY number UNION ALL SELECT 7, 'mark'",
        settings={
            "insert_deduplication_token": "roll:2", "max_insert_threads": 1, "min_insert_block_size_rows": 1_000_000,
            "min_insert_block_size_bytes": 0, "max_block_size": 1_000_000,
        },
    )  # fmt: skip
    parts = (
        "SELECT sum(rows), count() FROM system.parts WHERE database = currentDatabase() AND table = 'once' AND active"
    )
    assert client.query(parts).result_rows == [(100_001, 1)]


def test_of_inserts_at_once_with_one_token_one_is_taken(server: Server, client: Client, database: str) -> None:
    client.command(ONCE)
    start = threading.Barrier(6)

    def insert(worker: int) -> None:
        mine = server.client(database=database)
        try:
            start.wait(20)
            for step in range(5):
                once(mine, f"step {step}", [worker * 1000 + step * 10 + row for row in range(10)])
        finally:
            mine.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(insert, range(6)))
    found = client.query(
        "SELECT intDiv(n % 1000, 10) AS step, uniqExact(intDiv(n, 1000)), count() FROM once GROUP BY step"
    )
    assert {tuple(row) for row in found.result_rows} == {(step, 1, 10) for step in range(5)}


def test_an_insert_that_failed_has_not_used_its_token(client: Client) -> None:
    client.command(ONCE)
    settings = {"insert_deduplication_token": "token"}
    with pytest.raises(DatabaseError):
        client.raw_insert("once", ["n", "s"], b"1\tx\nnot a number\tx\n", fmt="TSV", settings=settings)
    client.raw_insert("once", ["n", "s"], b"1\tx\n2\tx\n", fmt="TSV", settings=settings)
    assert client.command("SELECT count() FROM once") == 2


def test_a_partition_is_replaced_at_once(server: Server, client: Client, database: str) -> None:
    client.command("CREATE TABLE daily (day Date, n UInt64) ENGINE = MergeTree PARTITION BY day ORDER BY n")
    client.command("CREATE TABLE again AS daily")
    for day in ("2026-03-01", "2026-03-02"):
        client.command(f"INSERT INTO daily SELECT '{day}', number FROM numbers(1000)")
    seen: set[tuple[Any, ...]] = set()
    done = threading.Event()

    def look() -> None:
        mine = server.client(database=database)
        while not done.is_set():
            seen.add(tuple(mine.query("SELECT count(), sum(n) FROM daily WHERE day = '2026-03-01'").result_rows))
        mine.close()

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(20):
        client.command("TRUNCATE TABLE again")
        client.command(f"INSERT INTO again SELECT '2026-03-01', number + {turn % 2} FROM numbers({1000 - turn % 2})")
        client.command("ALTER TABLE daily REPLACE PARTITION '2026-03-01' FROM again")
    done.set()
    reader.join()
    whole = {((1000, 499_500),), ((999, 499_500),)}
    assert seen <= whole
    days = "SELECT day, count() FROM daily GROUP BY day ORDER BY day"
    assert [count for _, count in client.query(days).result_rows] == [999, 1000]


def test_a_mutation_that_is_waited_for_is_done(client: Client) -> None:
    client.command("CREATE TABLE changed (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    client.command("INSERT INTO changed SELECT number, 'secret' FROM numbers(10000)")
    client.command("ALTER TABLE changed UPDATE s = '' WHERE n % 2 = 0", settings={"mutations_sync": 2})
    assert client.command("SELECT countIf(s = '') FROM changed") == 5000
    client.command("ALTER TABLE changed DELETE WHERE n < 100", settings={"mutations_sync": 1})
    assert client.command("SELECT count() FROM changed") == 9900
    client.command("DELETE FROM changed WHERE n < 200")
    assert client.command("SELECT count() FROM changed") == 9800
    with pytest.raises(DatabaseError) as caught:
        client.command(
            "ALTER TABLE changed UPDATE s = toString(throwIf(n = 500)) WHERE 1", settings={"mutations_sync": 1}
        )
    assert caught.value.code in (341, 395)


def test_reading_and_writing_at_once_lose_nothing(server: Server, client: Client, database: str) -> None:
    client.command("CREATE TABLE busy (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    done = threading.Event()
    torn: list[Any] = []

    def write(worker: int) -> None:
        mine = server.client(database=database)
        for batch in range(8):
            first = worker * 100_000 + batch * 1000
            data: list[Any] = [np.arange(first, first + 1000, dtype=np.uint64), ["x"] * 1000]
            mine.insert("busy", data, column_names=["n", "s"], column_oriented=True)
        mine.close()

    def read() -> None:
        mine = server.client(database=database)
        last = 0
        while not done.is_set():
            count = int(str(mine.command("SELECT count() FROM busy WHERE NOT ignore(s)")))
            if count % 1000 or count < last:
                torn.append((last, count))
            last = count
        mine.close()

    with ThreadPoolExecutor(6) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        try:
            list(threads.map(write, range(4)))
        finally:
            done.set()
        assert [reader.result() for reader in readers] == [None, None]
    assert torn == []
    assert client.query("SELECT count(), uniqExact(n) FROM busy").result_rows == [(32_000, 32_000)]
