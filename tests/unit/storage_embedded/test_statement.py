from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.embedded.errors import StatementRefused
from storage.embedded.statement import Kind, parse


@pytest.mark.parametrize(
    ("text", "head", "format_name", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\x02", "INSERT INTO t ", "Native", b"\x01\x02"),
        (b"insert into d.t (a, format) format TSV \r\n1\n", "insert into d.t (a, format) ", "TSV", b"1\n"),
        (b"INSERT INTO t FORMAT JSONEachRow {}", "INSERT INTO t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t VALUES (1)", "INSERT INTO t ", "Values", b" (1)"),
        (b"INSERT INTO format FORMAT TSV\nx", "INSERT INTO format ", "TSV", b"x"),
        (b"INSERT INTO d.values VALUES (1)", "INSERT INTO d.values ", "Values", b" (1)"),
        (b"INSERT INTO `a b`.\"FORMAT x\" FORMAT TSV\nx", "INSERT INTO `a b`.\"FORMAT x\" ", "TSV", b"x"),
        (b"/* FORMAT */ INSERT INTO t -- VALUES\n SETTINGS a = 1.5 FORMAT CSV\n1",
         "/* FORMAT */ INSERT INTO t -- VALUES\n SETTINGS a = 1.5 ", "CSV", b"1"),
        (b"INSERT INTO FUNCTION null('FORMAT') FORMAT TSV\n;", "INSERT INTO FUNCTION null('FORMAT') ", "TSV", b";"),
        (b"INSERT INTO {t:Identifier} FORMAT TSV\n\n1", "INSERT INTO {t:Identifier} ", "TSV", b"\n1"),
    ],
)  # fmt: skip
def test_an_insert_is_parted_from_its_data(text: bytes, head: str, format_name: str, data: bytes) -> None:
    statement = parse(text)
    assert (statement.kind, statement.head, statement.format) == (Kind.INSERT, head, format_name)
    assert text[statement.data_start :] == data


@given(st.binary(max_size=300))
def test_no_data_changes_where_it_begins(data: bytes) -> None:
    text = b"INSERT INTO t (a) FORMAT Native\n"
    statement = parse(text + data)
    assert (statement.kind, statement.head, statement.data_start) == (Kind.INSERT, "INSERT INTO t (a) ", len(text))


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(text: bytes) -> None:
    with suppress(StatementRefused):
        assert text.startswith(parse(text).head.encode())


@given(st.text(max_size=50))
def test_what_a_string_says_is_not_looked_at(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    statement = parse(f"SELECT '{quoted}; DROP TABLE t FORMAT x' FORMAT Native".encode())
    assert (statement.kind, statement.format) == (Kind.SELECT, "Native")


@pytest.mark.parametrize(
    ("text", "kind", "format_name"),
    [
        (b"SELECT 1", Kind.SELECT, None),
        (b"SELECT 1;  ", Kind.SELECT, None),
        (b"select format from t", Kind.SELECT, None),
        (b"SELECT (SELECT 1 FORMAT x) FROM t", Kind.SELECT, None),
        (b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1", Kind.SELECT, "JSON"),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT TSV;", Kind.SELECT, "TSV"),
        (b"WITH 1 AS x SELECT x", Kind.SELECT, None),
        (b"SHOW TABLES FORMAT JSON", Kind.TELL, "JSON"),
        (b"CREATE TABLE t (a Int8) ENGINE = Memory", Kind.OTHER, None),
        (b"INSERT INTO t SELECT 1", Kind.OTHER, None),
        (b"INSERT INTO t (a) WITH 1 AS x SELECT x", Kind.OTHER, None),
    ],
)
def test_statements_are_told_apart(text: bytes, kind: Kind, format_name: str | None) -> None:
    statement = parse(text)
    assert (statement.kind, statement.format) == (kind, format_name)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 62),
        (b"  -- nothing\n", 62),
        (b"SELECT 1; DROP TABLE t", 62),
        (b"INSERT INTO t (a)", 62),
        (b"INSERT INTO t FORMAT", 62),
        (b"SELECT '\xff'", 62),
        (b"SELECT * FROM FiLe ('x')", 497),
        (b"SELECT * FROM `file`('x')", 497),
        (b"SELECT * FROM /**/ '/etc/passwd'", 497),
        (b"INSERT INTO t SELECT * FROM executable('id', 'TSV', 's String')", 497),
        (b"SELECT 1 INTO /* */ OUTFILE 'x'", 497),
    ],
)
def test_what_may_not_run_is_refused_with_a_code(text: bytes, code: int) -> None:
    with pytest.raises(StatementRefused) as caught:
        parse(text)
    assert caught.value.code == code
