"""What the store can raise.

StorageError
├── StoreUnavailable     nothing answers, or it asks to come back later
├── StoreRefused         the server understood and said no; trying again does not help
├── SchemaTooNew         the database was written by a later version of this code
├── SchemaTooOld         the database was not yet brought up to date
├── MigrationUnderWay    somebody else brings it up to date, for very long
├── ClusterRefused       a statement or a name that no cluster can be given
├── AppendStuck          inserts are answered, and yet nothing is kept
├── RollupStuck          the same of a step of a rollup
├── RebuildOvertaken     somebody else began to make the same day of a rollup again
├── DayExpired           of a day's rows not all are kept any more
└── embedded server's own errors, see `storage.embedded.errors`
"""

from __future__ import annotations

import datetime as dt


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


class SchemaTooOld(StorageError):
    """The database has migration `found`, older than `known`, the newest this code has."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The database's schema is at migration {found}; this version of Inferwatch needs {known}. "
            "Run `inferwatch migrate` first."
        )
        self.found = found
        self.known = known


class MigrationUnderWay(StorageError):
    """`holder` brings the database up to date; this run waited for `waited` seconds and leaves it to that one."""

    def __init__(self, holder: str, waited: float) -> None:
        super().__init__(
            f"{holder} is bringing the database up to date; after {waited:.0f} s this run leaves it to that one."
        )
        self.holder = holder
        self.waited = waited


class ClusterRefused(StorageError):
    """`text`, a statement or a name, cannot be given to a cluster, for `reason`."""

    def __init__(self, text: str, reason: str) -> None:
        shown = " ".join(text.split())
        super().__init__(f"{shown[:200]!r} {reason}")
        self.text = text
        self.reason = reason


class AppendStuck(StorageError):
    """`attempts` inserts into `table` behind offset `after` of a partition were answered, and none of them is there."""

    def __init__(self, table: str, topic_id: str, partition: int, after: int, attempts: int) -> None:
        super().__init__(
            f"{attempts} inserts into {table} behind offset {after} of partition {partition} of topic {topic_id} were"
            " answered, but their rows are not there. Is the disk full? It is tried again."
        )
        self.table = table
        self.topic_id = topic_id
        self.partition = partition
        self.after = after
        self.attempts = attempts


class RollupStuck(StorageError):
    """`attempts` steps of rollup `table` for arrival day `day` were answered, and none of them is there."""

    def __init__(self, table: str, day: dt.date, attempts: int) -> None:
        super().__init__(
            f"{attempts} inserts into {table} for {day} were answered, but are not there. Look into the server's log."
        )
        self.table = table
        self.day = day
        self.attempts = attempts


class RebuildOvertaken(StorageError):
    """Somebody else took the making again of arrival day `day` of rollup `table` over; nothing was changed here."""

    def __init__(self, table: str, day: dt.date) -> None:
        super().__init__(f"Somebody else makes {day} of {table} again; nothing was changed. Try again if need be.")
        self.table = table
        self.day = day


class DayExpired(StorageError):
    """Rows that arrived on `day` expired, or may have: those up to `last` do. Their figures cannot be made again."""

    def __init__(self, day: dt.date, last: dt.date) -> None:
        super().__init__(
            f"Rows that arrived on {day} are not all kept any more (rows up to {last} expire), so their figures cannot"
            " be made again; they stay as they are."
        )
        self.day = day
        self.last = last
