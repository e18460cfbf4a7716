"""Waiting for the store to rewrite parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from inferwatch.clock import Clock
from storage.errors import StoreUnavailable

Query = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Runs a SELECT with bound parameters and returns its rows."""

_POLL_SECONDS: Final = 0.2
_SAY_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 600.0


def wait_for_mutations(
    query: Query, url: str, table: str, clock: Clock, wait: Callable[[float], None], say: Callable[[str], None]
) -> None:
    """Return once no mutation of a table is under way; say from time to time how many parts are left.

    Asking is better than one statement that waits: a mutation may take longer than any connection lives.

    Raises:
        StoreUnavailable: for ten minutes no part was finished.
    """
    said = moved = clock.elapsed()
    left_before = -1
    while True:
        rows = query(
            "SELECT mutation_id, parts_to_do, latest_fail_reason FROM system.mutations"
            " WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done ORDER BY create_time",
            {"table": table},
        )
        if not rows:
            return
        now, left = clock.elapsed(), sum(int(parts) for _, parts, _ in rows)
        if left != left_before:
            moved, left_before = now, left
        if now - said >= _SAY_SECONDS:
            said = now
            say(f"waiting for the store to rewrite {left} parts of table {table}")
        if now - moved >= _STUCK_SECONDS:
            name, _, why = rows[0]
            reason = f"mutation {name} of table {table} has not got on for {_STUCK_SECONDS:g} s"
            raise StoreUnavailable(url, f"{reason}: {why}" if why else reason)
        wait(_POLL_SECONDS)
