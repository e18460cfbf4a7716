"""What the store can raise.

StorageError
├── StoreUnavailable     nothing answers, or it asks to come back later
├── StoreRefused         the server understood and said no; trying again does not help
├── SchemaTooNew         the database was written by a later version of this code
└── embedded server's own errors, see `storage.embedded.errors`
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of everything this package raises."""


class StoreUnavailable(StorageError):
    """Nothing answers at `url`, or the server is too busy; worth another try after `retry_after` seconds."""

    def __init__(self, url: str, reason: str, retry_after: float = 1.0) -> None:
        super().__init__(f"ClickHouse at {url} is not available: {reason}")
        self.url = url
        self.reason = reason
        self.retry_after = retry_after


class StoreRefused(StorageError):
    """The server refused a statement with ClickHouse's error `code`."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"ClickHouse refused (code {code}): {reason}")
        self.code = code
        self.reason = reason


class SchemaTooNew(StorageError):
    """The database has migration `found`, newer than `known`, the newest this code has."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The database's schema is at migration {found}; this version of Inferwatch knows {known}. "
            "Start the newer version, or point INFERWATCH_CLICKHOUSE_URL to another database."
        )
        self.found = found
        self.known = known
