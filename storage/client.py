"""The one way to ClickHouse: clickhouse-connect over HTTP, with our own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError

from storage.errors import StoreRefused, StoreUnavailable

TRANSIENT_CODES: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        745,  # SERVER_OVERLOADED
        999,  # KEEPER_EXCEPTION
    }
)
"""ClickHouse error codes after which the same statement may succeed later."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where ClickHouse is. `url` is `http[s]://host:port`."""

    url: str = "http://127.0.0.1:8123"
    database: str = "inferwatch"
    user: str = "default"
    password: str = field(default="", repr=False)
    connect_seconds: float = 5.0
    query_seconds: float = 60.0


def connect(settings: StoreSettings, *, database: str | None = None) -> Client:
    """Return a client that several threads may share.

    Raises:
        StoreUnavailable: nothing answers.
        StoreRefused: wrong user or password, or no such database.
    """
    parts = urlsplit(settings.url)
    with translated_errors(settings.url):
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            username=settings.user,
            password=settings.password,
            database=settings.database if database is None else database,
            connect_timeout=settings.connect_seconds,
            send_receive_timeout=settings.query_seconds,
            # Sessions would forbid concurrent queries on one client.
            autogenerate_session_id=False,
        )


@contextmanager
def translated_errors(url: str) -> Iterator[None]:
    """Turn the driver's errors into ours: what may pass is `StoreUnavailable`, what will not is `StoreRefused`."""
    try:
        yield
    except Error as error:
        if error.code is None and isinstance(error, OperationalError):
            raise StoreUnavailable(url, _first_line(error)) from error
        if error.code in TRANSIENT_CODES:
            raise StoreUnavailable(url, _first_line(error)) from error
        raise StoreRefused(error.code, _first_line(error)) from error
    except ClickHouseError as error:
        raise StoreRefused(None, _first_line(error)) from error
    except OSError as error:
        raise StoreUnavailable(url, _first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:500] or type(error).__name__
