"""Rollups against rows: which hours can be compared, and what came of it."""

from __future__ import annotations

import datetime as dt
from typing import Final

from inferwatch.clock import Clock
from processors.verify.count import HOUR
from processors.verify.options import Say, VerifyOptions
from storage.rollups.figures import ROLLUPS
from storage.verify import Ledger
from storage.verify_rollups import RollupState, Window, compare

DAY: Final = 86_400
FOR_EVER_DAYS: Final = 36_500
_END: Final = 2.0**32 - 1


def compare_rollups(ledger: Ledger, options: VerifyOptions, clock: Clock, say: Say) -> list[RollupState]:
    """Compare every rollup with its rows. Raises `StoreUnavailable` or `StoreRefused`."""
    now, states = clock.now(), []
    rows_kept = ledger.days_kept("inferences") or FOR_EVER_DAYS
    for table in ROLLUPS:
        say(f"comparing {table} with rows")
        # What a table forgets by its own rule is gone some time after: that time is left out.
        kept = ledger.days_kept(table) or FOR_EVER_DAYS
        oldest = max(0.0, options.since or 0.0, now - kept * DAY + HOUR)
        until = min(options.until or _END, _END)
        # An event arrives on its own day or later, but for clocks that are a little ahead.
        first = max(0.0, now - (rows_kept - 1) * DAY, (options.since or 0.0) - DAY)
        first_day = dt.datetime.fromtimestamp(first, dt.UTC).date()
        states.append(
            compare(ledger, table, Window(-(-int(oldest) // HOUR) * HOUR, int(until) // HOUR * HOUR, first_day))
        )
    return states
