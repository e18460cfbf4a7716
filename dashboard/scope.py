"""What all pages show: how far back, of what, in whose time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.queries import Filters, TimeRange


@dataclass(frozen=True, slots=True)
class Window:
    """How far back to look, and the step of charts."""

    label: str
    length: timedelta
    step: timedelta

    def range(self, now: datetime) -> TimeRange:
        """Return the range that ends now, on whole steps, so that charts add up to totals."""
        return TimeRange.last(self.length, now, self.step)

    def before(self, now: datetime) -> TimeRange:
        """Return the range of the same length before it, to compare with."""
        current = self.range(now)
        return TimeRange(current.start - (current.end - current.start), current.start)


WINDOWS: Final = {
    window.label: window
    for window in (
        Window("5m", timedelta(minutes=5), timedelta(seconds=5)),
        Window("15m", timedelta(minutes=15), timedelta(seconds=15)),
        Window("1h", timedelta(hours=1), timedelta(minutes=1)),
        Window("24h", timedelta(hours=24), timedelta(minutes=15)),
    )
}
DEFAULT: Final = "15m"


@dataclass(frozen=True, slots=True)
class Scope:
    """The sidebar's choice."""

    window: Window
    filters: Filters
    zone: tzinfo


def zone(name: str | None) -> tzinfo:
    """Return the zone a browser says it is in; UTC where it does not say, or says something unheard of."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
