"""Price stored inferences again: rows first, then the rollups made from them.

Rows are changed by a mutation for each day of arrival, not by making a day's partition anew and putting it in place:
inserts go on meanwhile, and a partition that is put in place would drop what arrived since it was copied. A mutation is
written to disk before it is answered, survives the server, touches only parts that were there when it was accepted, and
puts each changed part in place at once. Its arithmetic is part of the statement and a function of the row alone, so
that doing it twice, or once more after a kill, comes to the same.

1. Wait until no mutation of the table is under way: one that a killed run left behind would come after what is read.
2. For each provider and model, ask which prices hold when; look which rows come to something else than they have.
3. Change those rows, one day of arrival after the other, and wait for each.
4. Make every day's rollups again whose cost is not that of its rows.

Killed anywhere, the next run finds what is left: steps 2 and 4 compare what is stored, and nothing is remembered
elsewhere. Rows that arrive meanwhile have the price of the worker that wrote them; restart workers with a new price
book before, and run it again if one was late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

from clickhouse_connect.driver.client import Client

from inferwatch.clock import Clock
from storage.client import StoreSettings, connect, translated_errors
from storage.errors import DayExpired, RebuildOvertaken, StoreUnavailable
from storage.mutations import wait_for_mutations
from storage.price_sql import Assignment, Piece, assignments
from storage.stale_rollups import stale_days

Say = Callable[[str], None]

_QUERY_SECONDS: Final = 3_600.0
_REBUILDS: Final = 3


class Prices(Protocol):
    """Says what things cost when."""

    def pieces(self, provider: str, model: str, since: int, until: int) -> list[Piece]:
        """Return what holds from `since` until before `until`, in Unix microseconds, without gaps."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Which inferences: those that began from one day to another (UTC, both included), of models by a shell pattern."""

    since: dt.date | None = None
    until: dt.date | None = None
    model: str = "*"


@dataclass(frozen=True, slots=True)
class DayChange:
    """What changes among the inferences that arrived on a day. Sums are of the rows that change and have a cost."""

    day: dt.date
    rows: int
    cost_before: Decimal
    cost_after: Decimal
    unknown_before: int
    unknown_after: int

    def plus(self, other: DayChange) -> DayChange:
        """Return both together; the day is this one's."""
        (day, *mine), (_, *others) = astuple(self), astuple(other)
        return DayChange(day, *(one + another for one, another in zip(mine, others, strict=True)))


@dataclass(frozen=True, slots=True)
class Repriced:
    """What came of it.

    Attributes:
        rows: inferences in the scope.
        days: what changed, or would change, by day of arrival; days without changes are left out.
        rebuilt: days of arrival whose rollups were made again.
        left: days of arrival whose rollups hold inferences that are no longer stored, and so keep their cost.
    """

    rows: int
    days: tuple[DayChange, ...]
    rebuilt: tuple[dt.date, ...] = ()
    left: tuple[dt.date, ...] = ()

    @property
    def rows_changed(self) -> int:
        """Rows that changed, or would change."""
        return sum(day.rows for day in self.days)


class Repricer:
    """Prices again what is stored. Blocks; raises `StoreUnavailable` where it is worth trying again.

    Args:
        settings: the store.
        prices: what holds now.
        rebuild: makes the rollups of one day of arrival again.
        clock: for how long to wait.
        wait: waits for so many seconds.
        say: is told what goes on, a line at a time.
    """

    def __init__(
        self,
        settings: StoreSettings,
        prices: Prices,
        rebuild: Callable[[dt.date], object],
        clock: Clock,
        wait: Callable[[float], None],
        say: Say,
    ) -> None:
        self._url = settings.url
        self._prices = prices
        self._rebuild = rebuild
        self._clock = clock
        self._wait = wait
        self._say = say
        self._client: Client = connect(replace(settings, query_seconds=max(settings.query_seconds, _QUERY_SECONDS)))

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def plan(self, scope: Scope) -> Repriced:
        """Return what `run` would change, and change nothing."""
        rows, wanted = self._assignments(scope)
        return Repriced(rows, _merged([self._changes(one) for one in wanted]))

    def run(self, scope: Scope) -> Repriced:
        """Change rows and rollups; return what changed. A second run finds nothing to do.

        Raises:
            StoreUnavailable, StoreRefused: also where the store does not get on with a mutation; run it again.
        """
        self._finish_mutations()
        rows, wanted = self._assignments(scope)
        changes = [(one, self._changes(one)) for one in wanted]
        days = _merged([of_one for _, of_one in changes])
        for number, day in enumerate(days, 1):
            self._say(f"{day.day}: {day.rows:,} of {rows:,} inferences change (day {number} of {len(days)})")
            for one, of_one in changes:
                if any(change.day == day.day for change in of_one):
                    self._command(one.update(day.day), one.bound)
                    self._finish_mutations()
        rebuilt, incomplete = self._rebuild_rollups()
        changed = {day.day for day in days}
        return Repriced(rows, days, rebuilt, tuple(day for day in incomplete if day in changed))

    def _assignments(self, scope: Scope) -> tuple[int, list[Assignment]]:
        first = _microseconds(scope.since) if scope.since else 0
        last = _microseconds(scope.until + dt.timedelta(days=1)) if scope.until else 2**62
        rows, pieces = 0, []
        for provider, model, begins, ends, count in self._query(
            "SELECT provider, model, min(toUnixTimestamp64Micro(started_at)) AS begins,"
            " max(toUnixTimestamp64Micro(started_at)) AS ends, count() FROM inferences"
            " WHERE toUnixTimestamp64Micro(started_at) >= {first:Int64}"
            " AND toUnixTimestamp64Micro(started_at) < {last:Int64} GROUP BY provider, model ORDER BY provider, model",
            {"first": first, "last": last},
        ):
            if fnmatchcase(model, scope.model):
                rows += count
                pieces += self._prices.pieces(provider, model, begins, ends + 1)
        return rows, assignments(pieces)

    def _changes(self, one: Assignment) -> list[DayChange]:
        return [DayChange(*row) for row in self._query(one.changes(), one.bound)]

    def _finish_mutations(self) -> None:
        wait_for_mutations(self._query, self._url, "inferences", self._clock, self._wait, self._say)

    def _rebuild_rollups(self) -> tuple[tuple[dt.date, ...], tuple[dt.date, ...]]:
        """Make rollups again until none is stale; return which were, and which cannot be: rows of them are gone."""
        rebuilt: set[dt.date] = set()
        expired: set[dt.date] = set()
        for attempt in range(_REBUILDS + 1):
            stale = stale_days(self._query)
            wanted = [day for day in stale.to_rebuild if day not in expired]
            if not wanted:
                break
            if attempt == _REBUILDS:
                reason = f"rollups of {wanted[0]} still differ from their rows after {attempt} times; run it again"
                raise StoreUnavailable(self._url, reason)
            for day in wanted:
                self._say(f"{day}: making the rollups again")
                try:
                    self._rebuild(day)
                    rebuilt.add(day)
                except DayExpired:
                    expired.add(day)
                except RebuildOvertaken as error:
                    self._say(str(error))
        return tuple(sorted(rebuilt)), tuple(sorted(expired.union(stale.incomplete)))

    def _query(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with translated_errors(self._url):
            return self._client.query(sql, parameters=dict(parameters)).result_rows

    def _command(self, sql: str, parameters: Mapping[str, Any]) -> None:
        with translated_errors(self._url):
            self._client.command(sql, dict(parameters), settings={"mutations_sync": 0})


def _merged(changes: Sequence[Sequence[DayChange]]) -> tuple[DayChange, ...]:
    """Return changes by day, those of one day added up."""
    by_day: dict[dt.date, DayChange] = {}
    for change in (change for some in changes for change in some):
        before = by_day.get(change.day)
        by_day[change.day] = change if before is None else before.plus(change)
    return tuple(by_day[day] for day in sorted(by_day))


def _microseconds(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * 86_400_000_000
