"""One migrator at a time, where nothing but tables is there to agree on it.

Each holder writes a row with the number behind the highest one, under a deduplication token that is this number: of
two who write the same number only the first has its row there, and both read who that is. A row is good until a time
by the server's clock, so that a holder who was killed is waited for, but not for ever.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from clickhouse_connect.driver.client import Client

from storage.errors import MigrationUnderWay

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS migration_lease"
    " (number UInt64, holder String, until DateTime64(3, 'UTC'))"
    " ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 10000"
)
_GOOD_FOR_SECONDS: Final = 20
_LONGEST_WAIT_SECONDS: Final = 600.0
_ASK_SECONDS: Final = 0.25


class Lease:
    """The right to migrate one database."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.holder = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
        self._renewed: float | None = None

    def keep(self) -> str | None:
        """Hold it for as long as a statement may take: renew it unless that was just done. Returns as `renew`."""
        recently = self._renewed is not None and time.monotonic() - self._renewed < _GOOD_FOR_SECONDS / 4
        return None if recently else self.renew()

    def renew(self, seconds: int = _GOOD_FOR_SECONDS) -> str | None:
        """Take the lease or hold it for longer; returns None, or the other who has it."""
        asked = time.monotonic()
        highest, holder, good = self._newest()
        if good and holder != self.holder:
            return holder
        number = highest + 1
        self._client.command(
            "INSERT INTO migration_lease SELECT {number:UInt64}, {holder:String},"
            " now64(3, 'UTC') + toIntervalSecond({seconds:Int32})",
            {"number": number, "holder": self.holder, "seconds": seconds},
            settings={"insert_deduplication_token": f"lease:{number}"},
        )
        written, winner, _ = self._newest()
        held = (written, winner) == (number, self.holder)
        self._renewed = asked if held else None
        return None if held else winner

    def give_up(self) -> None:
        """Let the next one in."""
        self.renew(0)

    def _newest(self) -> tuple[int, str, bool]:
        rows = self._client.query(
            "SELECT number, holder, until > now64(3, 'UTC') FROM migration_lease ORDER BY number DESC LIMIT 1"
        ).result_rows
        return (int(rows[0][0]), str(rows[0][1]), bool(rows[0][2])) if rows else (0, "", False)


@contextmanager
def held(
    client: Client,
    sleep: Callable[[float], None] = time.sleep,
    longest_wait_seconds: float = _LONGEST_WAIT_SECONDS,
) -> Iterator[Lease]:
    """Wait for the lease and hold it; `keep` it before each statement.

    Raises:
        MigrationUnderWay: another has it for very long.
    """
    lease = Lease(client)
    waited = 0.0
    while (other := lease.renew()) is not None:
        if waited >= longest_wait_seconds:
            raise MigrationUnderWay(other, waited)
        sleep(_ASK_SECONDS)
        waited += _ASK_SECONDS
    try:
        yield lease
    finally:
        lease.give_up()
