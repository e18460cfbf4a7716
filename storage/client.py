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

from storage.addresses import is_loopback
from storage.cluster import ClusterSettings
from storage.errors import StoreRefused, StoreUnavailable

TRANSIENT_CODES: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        254,  # NO_ACTIVE_REPLICAS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        289,  # REPLICA_IS_NOT_IN_QUORUM
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        517,  # CANNOT_ASSIGN_ALTER
        519,  # NO_REMOTE_SHARD_AVAILABLE
        745,  # SERVER_OVERLOADED
        999,  # KEEPER_EXCEPTION
    }
)
"""ClickHouse error codes after which the same statement may succeed later."""


_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where ClickHouse is. `url` is `http[s]://host:port`.

    `query_seconds` is how long a statement may take; the server is told, so that none runs on for nobody. `compress`
    is LZ4 both ways; by default for every server but one on this machine, where it costs more than it saves.
    `cluster` says that the server is a node of one; tables are then made on all of its nodes.
    """

    url: str = "http://127.0.0.1:8123"
    database: str = "inferwatch"
    user: str = "default"
    password: str = field(default="", repr=False)
    connect_seconds: float = 5.0
    query_seconds: float = 60.0
    compress: bool | None = None
    cluster: ClusterSettings | None = None


def connect(settings: StoreSettings, *, database: str | None = None) -> Client:
    """Return a client that several threads may share.

    Raises:
        StoreUnavailable: nothing answers.
        StoreRefused: wrong user or password, or no such database.
    """
    parts = urlsplit(settings.url)
    host = parts.hostname or "127.0.0.1"
    with translated_errors(settings.url):
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=host,
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            username=settings.user,
            password=settings.password,
            database=settings.database if database is None else database,
            connect_timeout=settings.connect_seconds,
            # A little later than the server, whose own word of what happened is worth more.
            send_receive_timeout=settings.query_seconds + _GRACE_SECONDS,
            settings={
                "max_execution_time": settings.query_seconds,
                **({} if settings.cluster is None else settings.cluster.session()),
            },
            compress="lz4" if _compressed(settings, host) else False,
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
            raise StoreUnavailable(url, _cause(error)) from error
        if error.code in TRANSIENT_CODES:
            raise StoreUnavailable(url, _first_line(error)) from error
        raise StoreRefused(error.code, _first_line(error)) from error
    except ClickHouseError as error:
        raise StoreRefused(None, _first_line(error)) from error
    except OSError as error:
        raise StoreUnavailable(url, _first_line(error)) from error


def _compressed(settings: StoreSettings, host: str) -> bool:
    return not is_loopback(host) if settings.compress is None else settings.compress


def _cause(error: BaseException) -> str:
    """Return what the system said, of which drivers make paragraphs."""
    deepest: BaseException | None = error
    while deepest is not None:
        if isinstance(deepest, OSError) and deepest.strerror:
            return deepest.strerror
        deepest = deepest.__cause__ or deepest.__context__
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:500] or type(error).__name__
