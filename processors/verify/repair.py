"""Making rollups again where they differ from rows; rows that differ from Kafka stay as they are."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from inferwatch.clock import Clock
from processors.verify.options import Say, VerifyOptions
from processors.verify.report import Report
from processors.verify.rollups import compare_rollups
from storage.client import StoreSettings
from storage.rollups import Rollups
from storage.verify import opened_ledger


def repaired(report: Report, store: StoreSettings, options: VerifyOptions, clock: Clock, say: Say) -> Report:
    """Make rollups again of the days that differ, compare them once more, and return the report with what came of it.

    Raises:
        DayExpired, RebuildOvertaken, StoreUnavailable, StoreRefused: as `storage.rollups.rebuild`.
    """
    days = report.days_to_rebuild()
    if not days:
        return report
    rollups = Rollups(store, clock)
    try:
        for day in days:
            say(f"making the rollups of {day} again")
            rollups.rebuild(day)
    finally:
        rollups.close()
    with opened_ledger(store) as ledger:
        states = compare_rollups(ledger, options, clock, say)
    return replace(report, rollups=states, repaired=tuple(days), at=dt.datetime.fromtimestamp(clock.now(), dt.UTC))
