"""From which tables a range of whole minutes is put together: the fewest rows that answer exactly.

```
      09:40   10:00                 00:00                              00:00      07:00  07:12
        ├minutes┼────────hours────────┼───────────── days ───────────────┼──hours───┼minutes┤
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from storage.queries.scope import TimeRange, floor

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

Source = Literal["inferences", "metrics_1m", "metrics_1h"]


@dataclass(frozen=True, slots=True)
class Kept:
    """The oldest moments from which minutes, and hours, are surely still there."""

    minutes: datetime
    hours: datetime


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a range, the table that answers for it, and its expression for the start of a row's unit of time."""

    source: Source
    time: str
    range: TimeRange


def tiles(range: TimeRange, step: timedelta | None, kept: Kept) -> list[Tile]:
    """Return tiles that lie in a range side by side, none of a longer unit than a step may be; a total has no step.

    What rollups no longer keep is counted from rows, which may have stayed longer.

    Raises:
        ValueError: the range or the step is not of whole minutes.
    """
    if not fits(range, step):
        raise ValueError(f"Not whole minutes: {range.start} to {range.end} in steps of {step}")
    units = [unit for unit in (DAY, HOUR, MINUTE) if step is None or step % unit == timedelta(0)]
    return sorted(_tiles(range, units, kept), key=lambda tile: tile.range.start)


def fits(range: TimeRange, step: timedelta | None) -> bool:
    """Tell whether rollups answer exactly for a range and a step."""
    return range.on_whole(MINUTE) and (step is None or step % MINUTE == timedelta(0))


def _tiles(range: TimeRange, units: Sequence[timedelta], kept: Kept) -> Iterator[Tile]:
    unit, *finer = units
    start, end = _up(range.start, unit), floor(range.end, unit)
    if start < end:
        yield _tile(TimeRange(start, end), unit, kept)
        rest = [(range.start, start), (end, range.end)]
    else:
        rest = [(range.start, range.end)]
    for since, until in rest:
        if since < until:
            yield from _tiles(TimeRange(since, until), finer, kept)


def _tile(range: TimeRange, unit: timedelta, kept: Kept) -> Tile:
    if range.start < (kept.minutes if unit == MINUTE else kept.hours):
        return Tile("inferences", "t.started_at", range)
    if unit == MINUTE:
        return Tile("metrics_1m", "t.bucket", range)
    return Tile("metrics_1h", "t.bucket" if unit == HOUR else "toStartOfDay(t.bucket)", range)


def _up(moment: datetime, unit: timedelta) -> datetime:
    down = floor(moment, unit)
    return down if down == moment else down + unit
