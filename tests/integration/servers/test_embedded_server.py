"""What the embedded server does when things go wrong around it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backports import zstd
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from tests.support.clickhouse import ROOT, RunningStore, running_store
from tests.support.waiting import wait_for

TABLE = "CREATE TABLE default.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n"
BATCH = 20_000
# Runs far longer than any of these tests.
SLOW = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as store:
        yield store


@pytest.fixture
def store(shared: RunningStore) -> RunningStore:
    client = shared.client()
    client.command("DROP TABLE IF EXISTS default.t SYNC")
    client.command(TABLE)
    client.close()
    return shared


def ask(store: RunningStore, sql: str, method: str = "POST", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(store.host, store.port, timeout=30)
    connection.request(method, "/", sql.encode(), {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    result = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return result


def count(store: RunningStore) -> int:
    status, _, text = ask(store, "SELECT count() FROM default.t")
    assert status == 200, text
    return int(text)


def health(store: RunningStore) -> str:
    connection = http.client.HTTPConnection(store.host, store.port, timeout=10)
    connection.request("GET", "/health")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def start_again(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "storage.embedded", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_a_second_owner_is_refused_by_name(shared: RunningStore) -> None:
    done = start_again("--path", str(shared.path), "--port", "0")
    assert done.returncode == 1
    assert f"{shared.path} is in use by process {shared.pid}" in done.stderr


def test_a_taken_port_is_named(shared: RunningStore, tmp_path: Path) -> None:
    done = start_again("--path", str(tmp_path / "other"), "--port", str(shared.port))
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{shared.port}" in done.stderr


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with running_store(tmp_path / "data") as store:
        assert ask(store, TABLE)[0] == 200
        for batch in range(20):
            assert ask(store, f"INSERT INTO default.t SELECT number, 'x' FROM numbers({batch}, 100)")[0] == 200
        lines = "".join(f'{{"n":{number},"s":"y"}}\n' for number in range(100))
        assert ask(store, f"INSERT INTO default.t FORMAT JSONEachRow\n{lines}")[0] == 200
        store.kill()
        store.start()
        assert count(store) == 2100


def test_a_kill_in_the_middle_of_inserts_leaves_each_whole_or_absent(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    enough = threading.Event()

    def insert(store: RunningStore, worker: int) -> None:
        client = store.client()
        for batch in range(worker, 1_000_000, 3):
            columns: list[Any] = [np.full(BATCH, batch, np.uint64), np.full(BATCH, "x" * 200, dtype=object)]
            try:
                client.insert("default.t", columns, column_names=["n", "s"], column_oriented=True)
            except (ClickHouseError, OSError):
                break
            acknowledged.add(batch)
            if len(acknowledged) >= 9:
                enough.set()
        client.close()

    with running_store(tmp_path / "data") as store:
        assert ask(store, TABLE)[0] == 200
        with ThreadPoolExecutor(3) as threads:
            writers = [threads.submit(insert, store, worker) for worker in range(3)]
            assert enough.wait(60)
            store.kill()
            assert [writer.result() for writer in writers] == [None] * 3
        store.start()
        found = ask(store, "SELECT n, count() FROM default.t GROUP BY n")[2]
        counts = {int(batch): int(rows) for batch, rows in (line.split() for line in found.splitlines())}
        assert set(counts.values()) == {BATCH}
        assert acknowledged <= counts.keys()
        assert list((store.path / "inferwatch-incoming").iterdir()) == []


def test_only_this_machine_is_listened_to_unless_told_otherwise(store: RunningStore) -> None:
    listening = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = [local for local, _, state in listening if state == "0A" and local.endswith(f":{store.port:04X}")]
    assert bound == [f"0100007F:{store.port:04X}"]
    assert not any(line.split()[1].endswith(f":{store.port:04X}") for line in _ipv6_sockets())


def _ipv6_sockets() -> list[str]:
    path = Path("/proc/net/tcp6")
    return path.read_text().splitlines()[1:] if path.exists() else []


def test_an_open_server_without_a_password_warns(tmp_path: Path) -> None:
    with running_store(tmp_path / "data", "--host", "0.0.0.0") as store:
        assert "set a user and a password" in store.log.read_text()
        assert ask(store, "SELECT 1")[0] == 200


def test_a_statement_has_its_share_of_memory_and_no_more(tmp_path: Path) -> None:
    with running_store(tmp_path / "data", "--max-memory-mb", "100") as store:
        status, headers, text = ask(store, "SELECT groupArray(number) FROM numbers(100000000)")
        assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "241"), text
        assert ask(store, "SELECT 1")[0] == 200


def test_an_upload_that_stands_for_too_much_inserts_nothing(tmp_path: Path) -> None:
    body = zstd.compress(b"INSERT INTO default.t FORMAT TSV\n" + b"1\tx\n" * 5_000_000)
    with running_store(tmp_path / "data", "--max-upload-mb", "16") as store:
        assert ask(store, TABLE)[0] == 200
        connection = http.client.HTTPConnection(store.host, store.port)
        connection.request("POST", "/", body, {"Content-Encoding": "zstd"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (413, "33")
        connection.close()
        assert count(store) == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upload_cut_short_inserts_nothing(store: RunningStore, framing: str) -> None:
    body = b"INSERT INTO default.t FORMAT TSV\n" + b"1\tx\n" * 50_000
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    if framing == "length":
        request = head + b"Content-Length: %d\r\n\r\n" % (len(body) + 4) + body
    else:
        request = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n"
    with socket.create_connection((store.host, store.port)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert b"200 OK" not in answer
    wait_for(lambda: '"running": 0, "waiting": 0' in health(store), "the request to end")
    assert count(store) == 0


def test_a_compressed_upload_cut_short_inserts_nothing(store: RunningStore) -> None:
    import gzip

    body = gzip.compress(b"INSERT INTO default.t FORMAT TSV\n" + b"1\tx\n" * 50_000)[:-20]
    connection = http.client.HTTPConnection(store.host, store.port)
    connection.request("POST", "/", body, {"Content-Encoding": "gzip"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "33")
    connection.close()
    assert count(store) == 0


def test_slow_reading_does_not_hold_up_inserts(store: RunningStore) -> None:
    with ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(ask, store, f"{SLOW} SETTINGS max_execution_time = 6") for _ in range(4)]
        wait_for(lambda: '"running": 4' in health(store), "four slow queries")
        began = time.monotonic()
        for number in range(10):
            assert ask(store, f"INSERT INTO default.t VALUES ({number}, 'x')")[0] == 200
        seconds = time.monotonic() - began
        assert not any(each.done() for each in slow)
        assert {each.result()[1]["X-ClickHouse-Exception-Code"] for each in slow} == {"159"}
    assert seconds < 5
    assert count(store) == 10


def test_a_full_house_answers_503_with_its_code(tmp_path: Path) -> None:
    limits = ("--max-concurrent-queries", "1", "--max-waiting-requests", "0")
    with running_store(tmp_path / "data", *limits) as store, ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(ask, store, f"{SLOW} SETTINGS max_execution_time = 2") for _ in range(3)]
        wait_for(lambda: '"running": 1, "waiting": 2' in health(store), "every place to be taken")
        status, headers, text = ask(store, "SELECT 1")
        assert (status, headers["X-ClickHouse-Exception-Code"], headers["Retry-After"]) == (503, "202", "1")
        assert "TOO_MANY_SIMULTANEOUS_QUERIES" in text
        assert [each.result()[0] for each in slow] == [408, 408, 408]
        assert ask(store, "SELECT 1")[0] == 200


def test_sigterm_lets_what_runs_finish_and_ends_the_rest(tmp_path: Path) -> None:
    with running_store(tmp_path / "data") as store, ThreadPoolExecutor(2) as threads:
        short = threads.submit(ask, store, "SELECT sum(sleepEachRow(0.25)) FROM numbers(4) SETTINGS max_block_size = 1")
        endless = threads.submit(_status_or_closed, store, SLOW)
        wait_for(lambda: '"running": 2' in health(store), "both queries")
        seconds = store.stop()
        assert short.result()[0] == 200
        assert endless.result() != 200
        assert seconds < 6
        assert store.process.returncode == 0


def _status_or_closed(store: RunningStore, sql: str) -> int | None:
    try:
        return ask(store, sql)[0]
    except (http.client.HTTPException, ConnectionError):
        return None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/hostname')",
        "SELECT * FROM `/etc/hostname`",
        "SELECT * FROM '/etc/hostname'",
        "SELECT 1 INTO OUTFILE '/tmp/never'",
        "INSERT INTO default.t FROM INFILE '/etc/passwd' FORMAT LineAsString",
    ],
)
def test_files_of_this_machine_are_out_of_reach(store: RunningStore, sql: str) -> None:
    status, headers, _ = ask(store, sql)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (403, "497")


def test_pages_in_a_browser_are_refused(store: RunningStore) -> None:
    assert ask(store, "DROP TABLE default.t", Origin="https://example.com")[0] == 403
    assert count(store) == 0


def test_a_get_changes_nothing(store: RunningStore) -> None:
    connection = http.client.HTTPConnection(store.host, store.port)
    connection.request("GET", "/?query=DROP+TABLE+default.t")
    assert connection.getresponse().headers["X-ClickHouse-Exception-Code"] == "164"
    connection.close()
    assert count(store) == 0


def test_user_and_password_are_checked_where_they_are_set(tmp_path: Path) -> None:
    with running_store(tmp_path / "data", "--user", "watch", "--password", "s3cret") as store:
        assert store.client(username="watch", password="s3cret").command("SELECT 1") == 1
        with pytest.raises(DatabaseError) as caught:
            store.client(username="watch", password="wrong")
        assert caught.value.code == 516
        assert ask(store, "SELECT 1")[0] == 403
        assert ask(store, "SELECT 1", X_ClickHouse_User="watch", X_ClickHouse_Key="s3cret")[0] == 200


def test_a_client_that_leaves_a_stream_frees_its_place(store: RunningStore) -> None:
    for _ in range(6):
        with socket.create_connection((store.host, store.port)) as connection:
            sql = b"SELECT number, repeat('x', 100) FROM numbers(100000000) FORMAT TSV"
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(sql) + sql)
            assert connection.recv(15).startswith(b"HTTP/1.1 200")
    wait_for(lambda: '"running": 0, "waiting": 0' in health(store), "every place to be free again")


@pytest.mark.parametrize("format_name", ["Native", "JSON"])
def test_a_query_ends_when_its_client_leaves(store: RunningStore, format_name: str) -> None:
    with socket.create_connection((store.host, store.port)) as connection:
        sql = f"{SLOW} FORMAT {format_name}".encode()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(sql) + sql)
        wait_for(lambda: '"running": 1' in health(store), "the query to run")
    wait_for(lambda: '"running": 0, "waiting": 0' in health(store), "the query to end")
    assert ask(store, "SELECT count() FROM system.processes")[2] == "1\n"


def test_an_insert_goes_on_when_its_client_leaves(store: RunningStore) -> None:
    with socket.create_connection((store.host, store.port)) as connection:
        sql = b"INSERT INTO default.t SELECT number, toString(sleepEachRow(0.02)) FROM numbers(50)"
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(sql) + sql)
        wait_for(lambda: '"running": 1' in health(store), "the insert to run")
    wait_for(lambda: '"running": 0, "waiting": 0' in health(store), "the insert to end")
    assert count(store) == 50


def test_many_clients_at_once_lose_nothing(store: RunningStore) -> None:
    errors: list[Exception] = []

    def insert(worker: int) -> None:
        client = store.client()
        try:
            for batch in range(10):
                numbers = [worker * 1000 + batch * 50 + row for row in range(50)]
                client.insert("default.t", [numbers, ["x"] * 50], column_names=["n", "s"], column_oriented=True)
        except ClickHouseError as error:
            errors.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=insert, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ask(store, "SELECT count(), uniqExact(n) FROM default.t")[2] == "4000\t4000\n"


def test_what_finds_no_room_in_memory_arrives_and_leaves_nothing_on_disk(tmp_path: Path) -> None:
    lines = b"".join(b"%d\t" % number + b"x" * 1_000_000 + b"\n" for number in range(40))
    with running_store(tmp_path / "data", "--spool-memory-mb", "3") as store:
        assert ask(store, TABLE)[0] == 200
        for coding, body in ((None, lines), ("zstd", zstd.compress(lines))):
            head = b"INSERT INTO default.t FORMAT TSV\n"
            packed = head + body if coding is None else zstd.compress(head) + body
            connection = http.client.HTTPConnection(store.host, store.port)
            connection.request("POST", "/", packed, {} if coding is None else {"Content-Encoding": coding})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            connection.close()
        assert list((store.path / "inferwatch-incoming").iterdir()) == []
        assert ask(store, "SELECT count(), sum(n), sum(length(s)) FROM default.t")[2] == "80\t1560\t80000000\n"
