from __future__ import annotations

import base64
from pathlib import Path

import pytest

from storage.embedded.errors import NotAuthenticated, StatementRefused
from storage.embedded.http_status import http_status
from storage.embedded.request import authenticate, from_a_page, read_request
from storage.embedded.settings import EmbeddedSettings

GUARDED = EmbeddedSettings(path=Path("x"), user="watch", password="s3cret:é")


def test_url_fields_are_sorted_into_sql_parameters_and_settings() -> None:
    fields = [("query", "SELECT {a:String}"), ("param_a", "x"), ("database", "d"), ("max_threads", "2"),
              ("wait_end_of_query", "1"), ("session_id", "s"), ("query_id", "q")]  # fmt: skip
    request = read_request("POST", fields, {})
    assert (request.query, request.query_id) == ("SELECT {a:String}", "q")
    assert (request.session.database, request.session.parameters) == ("d", {"a": "x"})
    assert request.session.settings == {"max_threads": "2", "log_comment": request.mark}


def test_each_request_has_a_mark_of_its_own() -> None:
    assert read_request("POST", [("query_id", "q")], {}).mark != read_request("POST", [("query_id", "q")], {}).mark


@pytest.mark.parametrize(
    ("bound_to", "headers", "page"),
    [
        ("127.0.0.1", {"Host": "127.0.0.1:8123"}, False),
        ("127.0.0.1", {"Host": "localhost:8123"}, False),
        ("127.0.0.1", {"Host": "[::1]:8123"}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"Host": "rebound.example:8123"}, True),
        ("0.0.0.0", {"Host": "store.internal:8123"}, False),
        ("0.0.0.0", {"Host": "store.internal:8123", "Origin": "https://example.com"}, True),
    ],
)
def test_pages_in_a_browser_are_told_from_programs(bound_to: str, headers: dict[str, str], page: bool) -> None:
    assert from_a_page(bound_to, headers) is page


def test_a_get_is_read_only() -> None:
    assert read_request("GET", [], {}).session.settings["readonly"] == "2"
    assert "readonly" not in read_request("POST", [], {}).session.settings


def test_answers_are_compressed_only_when_asked_for() -> None:
    headers = {"Accept-Encoding": "lz4"}
    assert read_request("POST", [], headers).accept_encoding == ""
    assert read_request("POST", [("enable_http_compression", "1")], headers).accept_encoding == "lz4"


def test_what_is_not_implemented_says_so() -> None:
    with pytest.raises(StatementRefused) as caught:
        read_request("POST", [("compress", "1")], {})
    assert (caught.value.code, caught.value.status) == (48, 501)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({}, basic("watch:s3cret:é")),
        ({}, {"X-ClickHouse-User": "watch", "X-ClickHouse-Key": "s3cret:é"}),
        ({"user": "watch", "password": "s3cret:é"}, {}),
    ],
)
def test_the_right_password_is_taken_in_each_way(query: dict[str, str], headers: dict[str, str]) -> None:
    authenticate(GUARDED, query, headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("watch:wrong"),
        basic("other:s3cret:é"),
        {"Authorization": "Basic ???"},
        {"Authorization": "Bearer x"},
        {"X-ClickHouse-User": "watch"},
    ],
)
def test_anything_else_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(NotAuthenticated):
        authenticate(GUARDED, {}, headers)


def test_the_password_is_not_in_the_settings_text() -> None:
    assert "s3cret" not in repr(GUARDED)


@pytest.mark.parametrize(("code", "status"), [(60, 404), (62, 400), (159, 408), (164, 403), (241, 500), (99999, 500)])
def test_errors_have_the_status_clickhouse_gives_them(code: int, status: int) -> None:
    assert http_status(code) == status
