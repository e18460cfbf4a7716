"""Keeps the rollups up with the rows.

One step of one rollup:

1. Read its marks, by day of arrival.
2. Ask the ledger which rows come after them; take the oldest day, and about `most_rows` of it.
3. Insert their figures and the new marks in one part, under a token made of the marks of step 1 and the number of the
   attempt. Of all inserts that follow the same marks one counts.
4. The next step starts at 1. Where marks stand still although an insert behind them was answered, others that are
   under way are waited for. Marks that then still stand: the engine died after noting the token and before keeping the
   part. Only then the next attempt, with a token of its own.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inferwatch.clock import Clock
from storage.client import StoreSettings
from storage.connection import Connection
from storage.errors import RollupStuck
from storage.rollups import lock, step
from storage.rollups.figures import ROLLUPS, RollupName
from storage.rollups.ledger import Minute, Span, arrivals, next_span, stored_offsets
from storage.rollups.marks import FIRST_DAY, NO_MARKS, Marks, Place, read_marks
from storage.rollups.rebuild import rebuild

_MOST_ATTEMPTS: Final = 20
_LOOK_AROUND_SECONDS: Final = 60.0

PAUSES: Final[Mapping[RollupName, float]] = {"metrics_1m": 2.0, "metrics_1h": 15.0, "pii_hits": 10.0}
"""Seconds between steps of a rollup that is up with the rows: a step costs the engine more than its rows do."""

_Pair = tuple[dt.date, str]  # a day of arrival and a topic's id


@dataclass(frozen=True, slots=True)
class Advanced:
    """What one step of a rollup did: about how many rows it covered, and whether it should do the next at once."""

    rows: int
    more: bool


@dataclass(frozen=True, slots=True)
class Behind:
    """About how many stored rows a rollup does not count yet, and from which minute of arrival the oldest is."""

    rows: int
    since: dt.datetime | None


class Rollups:
    """Makes `metrics_1m`, `metrics_1h` and `pii_hits` from stored rows. Calls block; several threads may call.

    Any number of these may work at once, in any number of processes: rows are counted once. More than one is a waste,
    so of several workers that one should advance which has the topic's first partition.

    All methods raise `StoreUnavailable` when it is worth trying again and `StoreRefused` when it is not.
    """

    def __init__(
        self,
        settings: StoreSettings,
        clock: Clock,
        most_rows: int = 500_000,
        pauses: Mapping[RollupName, float] = PAUSES,
    ) -> None:
        self._connection = Connection(settings)
        self._clock = clock
        self._most_rows = most_rows
        self._pauses = pauses
        self._advancing = threading.Lock()
        # By rollup and day: the marks that the last answered insert followed, and the number of its attempt.
        self._answered: dict[tuple[RollupName, dt.date], tuple[Marks, int]] = {}
        self._due: dict[RollupName, float] = dict.fromkeys(ROLLUPS, float("-inf"))
        self._look_around = float("-inf")

    def advance(self) -> dict[RollupName, Advanced]:
        """Do one step of each rollup that is due: of the oldest day of arrival that has rows to count.

        Raises:
            RollupStuck: the store answers and yet keeps nothing.
        """
        with self._advancing:
            now = self._clock.elapsed()
            done = dict.fromkeys(ROLLUPS, Advanced(0, more=False))
            due = [name for name in ROLLUPS if self._due[name] <= now]
            if not due:
                return done
            everywhere = self._look_around <= now
            today = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).date()
            since = FIRST_DAY if everywhere else today - dt.timedelta(days=1)
            marks = read_marks(self._connection, due, since)
            if everywhere or any(today not in of_days for of_days in marks.values()):
                waiting = self._waiting_pairs(marks, since)
            else:
                # Where anybody writes now. What arrives elsewhere is found when looking around.
                places = [place for of_days in marks.values() for place in of_days[today].offsets]
                waiting = [(today, topic_id) for topic_id in sorted({place.topic_id for place in places})]
            for name, step_done in self._step_all(marks, waiting).items():
                done[name] = step_done
                self._due[name] = now if step_done.more else now + self._pauses[name]
            if everywhere and not any(one.more for one in done.values()):
                self._look_around = now + _LOOK_AROUND_SECONDS
            return done

    def marks(self, since: dt.date = FIRST_DAY) -> dict[RollupName, dict[dt.date, Marks]]:
        """Return how far each rollup goes, by day of arrival."""
        return read_marks(self._connection, ROLLUPS, since)

    def behind(self) -> dict[RollupName, Behind]:
        """Return what is stored and not counted yet."""
        marks = self.marks()
        stored = stored_offsets(self._connection)
        return {name: self._behind(marks[name], stored) for name in ROLLUPS}

    def rebuild(self, day: dt.date) -> None:
        """Make the figures of the rows that arrived on a day again, see `storage.rollups.rebuild`."""
        rebuild(self._connection, day, self._clock, self._most_rows)

    def close(self) -> None:
        """Release connections."""
        self._connection.close()

    def _waiting_pairs(self, marks: Mapping[RollupName, Mapping[dt.date, Marks]], since: dt.date) -> list[_Pair]:
        stored = stored_offsets(self._connection, since)
        return sorted({pair for of_days in marks.values() for pair in _waiting(of_days, stored)})

    def _step_all(
        self, marks: Mapping[RollupName, Mapping[dt.date, Marks]], waiting: Sequence[_Pair]
    ) -> dict[RollupName, Advanced]:
        """Go through what waits, oldest first, until each rollup has done its step and knows whether there is more."""
        done: dict[RollupName, Advanced] = {}
        for day, topic_id in waiting:
            # One answer for all rollups: what the least advanced of them needs.
            missing = [name for name in marks if name not in done or not done[name].more]
            if not missing:
                break
            counted = [_counted(marks[name].get(day, NO_MARKS), topic_id) for name in missing]
            minutes = arrivals(self._connection, day, topic_id, _least(counted))
            for name in missing:
                one = self._step(name, marks[name].get(day, NO_MARKS), day, topic_id, minutes, name not in done)
                if one is not None:
                    done[name] = Advanced(done[name].rows, more=True) if name in done else one
        return {name: done.get(name, Advanced(0, more=False)) for name in marks}

    def _step(
        self, name: RollupName, marks: Marks, day: dt.date, topic_id: str, minutes: Sequence[Minute], now: bool
    ) -> Advanced | None:
        """Do a step if there is one to do; where it is not to be done `now`, only say that there is."""
        if marks.locked:
            lock.release_stale(self._connection, ROLLUPS[name], day, self._clock)
            return None
        counted = _counted(marks, topic_id)
        span = next_span(day, topic_id, minutes, counted, self._most_rows)
        if span is None:
            return None
        if now and not self._count(name, span, marks):
            return Advanced(0, more=True)
        counted |= {partition: upto for partition, (_, upto) in span.offsets.items()}
        return Advanced(span.rows, more=next_span(day, topic_id, minutes, counted, self._most_rows) is not None)

    def _count(self, name: RollupName, span: Span, marks: Marks) -> bool:
        """Insert a step; return whether it may count, which it does not where somebody else's came first."""
        before, attempt = self._answered.get((name, span.day), (None, -1))
        attempt = attempt + 1 if before == marks else 0
        if attempt == _MOST_ATTEMPTS:
            raise RollupStuck(name, span.day, attempt)
        if attempt > 0:
            self._connection.outwait_inserts(name)
            if read_marks(self._connection, [name], span.day, span.day)[name].get(span.day, NO_MARKS) != marks:
                return False
        token = marks.token(span.day, attempt)
        step.count(self._connection, ROLLUPS[name], name, span, marks.generation, token)
        self._answered[name, span.day] = marks, attempt
        return True

    def _behind(self, marks: Mapping[dt.date, Marks], stored: Mapping[dt.date, Mapping[Place, int]]) -> Behind:
        rows, since = 0, None
        for day, topic_id in _waiting(marks, stored):
            counted = _counted(marks.get(day, NO_MARKS), topic_id)
            for minute in arrivals(self._connection, day, topic_id, counted):
                rows += minute.rows_behind(counted.get(minute.partition, -1))
                since = minute.start if since is None else min(since, minute.start)
        return Behind(rows, since)


def _waiting(
    marks: Mapping[dt.date, Marks], stored: Mapping[dt.date, Mapping[Place, int]]
) -> Iterator[tuple[dt.date, str]]:
    """Yield days and topics with rows behind the marks, oldest day first."""
    for day in sorted(stored):
        counted = marks.get(day, NO_MARKS).offsets
        waiting = {place.topic_id for place, offset in stored[day].items() if offset > counted.get(place, -1)}
        for topic_id in sorted(waiting):
            yield day, topic_id


def _counted(marks: Marks, topic_id: str) -> dict[int, int]:
    return {place.partition: offset for place, offset in marks.offsets.items() if place.topic_id == topic_id}


def _least(counted: Collection[Mapping[int, int]]) -> dict[int, int]:
    everywhere = set.intersection(*(set(of_one) for of_one in counted))
    return {partition: min(of_one[partition] for of_one in counted) for partition in everywhere}
