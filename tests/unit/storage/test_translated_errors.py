"""Which of the driver's errors are waited for, and which stop whoever meets them."""

from __future__ import annotations

import errno

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from storage.client import translated_errors
from storage.errors import StoreRefused, StoreUnavailable

URL = "http://store"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (173, "CANNOT_ALLOCATE_MEMORY"),
        (203, "NO_FREE_CONNECTION"),
        (209, "SOCKET_TIMEOUT"),
        (225, "NO_ZOOKEEPER"),
        (236, "ABORTED"),
        (241, "MEMORY_LIMIT_EXCEEDED"),
        (285, "TOO_FEW_LIVE_REPLICAS"),
        (289, "REPLICA_IS_NOT_IN_QUORUM"),
        (394, "QUERY_WAS_CANCELLED"),
        (439, "CANNOT_SCHEDULE_TASK"),
        (745, "SERVER_OVERLOADED"),
    ],
)
def test_a_server_that_restarts_or_is_overloaded_is_unavailable(code: int, name: str) -> None:
    with pytest.raises(StoreUnavailable, match=name), translated_errors(URL):
        raise DatabaseError(f"Code: {code}. DB::Exception: no. ({name})", code=code)


@pytest.mark.parametrize("code", [16, 60, 62, 516, None])
def test_a_statement_that_is_wrong_is_refused(code: int | None) -> None:
    with pytest.raises(StoreRefused) as caught, translated_errors(URL):
        raise DatabaseError("no", code=code)
    assert caught.value.code == code


@pytest.mark.parametrize("error", [OperationalError("nobody answers"), ConnectionResetError("gone")])
def test_a_server_that_does_not_answer_is_unavailable(error: Exception) -> None:
    with pytest.raises(StoreUnavailable) as caught, translated_errors(URL):
        raise error
    assert caught.value.url == URL


def test_a_driver_s_paragraph_is_cut_to_what_the_system_said() -> None:
    paragraph = OperationalError("HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /")
    paragraph.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    with pytest.raises(StoreUnavailable) as caught, translated_errors(URL):
        raise paragraph
    assert caught.value.reason == "Connection refused"
