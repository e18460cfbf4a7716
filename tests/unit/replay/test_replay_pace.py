"""Everything is sent at its time, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.replay.ahead import MOST_AHEAD, ReadAhead
from ingest.replay.arrival import Arrival
from ingest.replay.errors import BadLineError
from ingest.replay.pace import pace
from ingest.replay.report import report
from ingest.replay.run import replay
from ingest.replay.schedule import Due, when_they_arrive
from ingest.replay.tally import Tally
from ingest.replay.target import Start
from tests.support.waiting import until
from tests.unit.replay.traces import Remembered, arrival, arrivals
from tests.unit.sdk.events import HandClock


class Timed(Remembered):
    """Remembers at what time of a clock; taking one thing takes `seconds`."""

    def __init__(self, clock: HandClock, seconds: float = 0.0) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self.times: list[float] = []

    async def send(self, due: Due, start: Start) -> None:
        self.times.append(self._clock.elapsed() - start.elapsed)
        self._clock.move(self._seconds)
        await super().send(due, start)


def paced(times: list[float], speed: float | None, seconds: float = 0.0) -> Timed:
    clock = HandClock()
    target = Timed(clock, seconds)

    async def pause(wait: float) -> None:
        assert wait > 0
        clock.move(wait)

    async def run() -> None:
        await pace(ReadAhead(when_they_arrive(arrivals(*times), speed)), target, clock, pause)

    asyncio.run(run())
    return target


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=20).map(sorted), st.floats(0.1, 100))
def test_each_is_sent_when_it_is_due(times: list[float], speed: float) -> None:
    assert paced(times, speed).times == pytest.approx([(at - times[0]) / speed for at in times], abs=1e-5)


def test_what_a_slow_target_delays_is_sent_at_once_and_those_after_a_gap_are_on_time_again() -> None:
    assert paced([0.0, 1.0, 2.0, 10.0], 1.0, seconds=3.0).times == pytest.approx([0.0, 3.0, 6.0, 10.0])


def test_nothing_waits_where_it_is_as_fast_as_possible() -> None:
    target = paced([0.0, 1000.0, 2000.0], None)
    assert target.times == [0.0, 0.0, 0.0]
    assert len(target.sent) == 3


async def given_out(ahead: ReadAhead) -> AsyncIterator[Due]:
    async def nothing() -> None: ...

    while (due := await ahead.next(nothing)) is not None:
        yield due


def test_what_is_held_is_sent_before_a_wait_and_at_the_end() -> None:
    assert paced([0.0, 1.0, 2.0], 1.0).flushed >= 3


def test_a_stop_ends_a_replay_in_the_middle_and_closes_the_target() -> None:
    tally = Tally(0.1)

    class Stopping(Remembered):
        def __init__(self, stop: asyncio.Event) -> None:
            super().__init__()
            self._stop = stop

        async def send(self, due: Due, start: Start) -> None:
            await super().send(due, start)
            self._stop.set()

    async def run() -> Remembered:
        stop = asyncio.Event()
        target = Stopping(stop)
        await replay(when_they_arrive(arrivals(0.0, 3600.0), 1.0), target, tally, HandClock(), stop)
        return target

    target = asyncio.run(run())
    assert (len(target.sent), target.closed, tally.interrupted) == (1, True, True)


def test_an_error_of_the_file_comes_after_what_was_read_before_it() -> None:
    def broken() -> Iterator[Due]:
        yield from when_they_arrive(arrivals(0.0, 0.0), None)
        raise BadLineError(3, "not JSON")

    target, tally = Remembered(), Tally(0.1)
    with pytest.raises(BadLineError, match="line 3"):
        asyncio.run(replay(broken(), target, tally, HandClock(), asyncio.Event()))
    assert (len(target.sent), target.closed) == (2, True)
    assert target.flushed_after == 2
    assert not report(tally, "azure", "kafka", None).complete


def test_a_replay_that_came_to_its_end_was_not_interrupted() -> None:
    tally = Tally(0.1)
    asyncio.run(replay(when_they_arrive(arrivals(0.0, 0.0), None), Remembered(), tally, HandClock(), asyncio.Event()))
    assert not tally.interrupted


def test_reading_ahead_holds_no_more_bytes_than_its_bound() -> None:
    taken: list[Arrival] = []

    def large() -> Iterator[Due]:
        for line in range(1, 6):
            taken.append(arrival(0.0, line, size=MOST_AHEAD.size * 2 // 5))
            yield from when_they_arrive(taken[-1:], None)

    async def run() -> list[int]:
        ahead = ReadAhead(large())
        # What does not fit is taken from the iterator, and waits to be put.
        await until(lambda: len(taken) == 3, "three")
        lines = [due.arrival.line async for due in given_out(ahead)]
        return [len(taken), *lines]

    assert asyncio.run(run()) == [5, 1, 2, 3, 4, 5]


def test_one_that_is_larger_than_the_bound_passes_alone() -> None:
    given = [arrival(0.0, line, size=MOST_AHEAD.size + 1) for line in (1, 2)]

    async def run() -> list[int]:
        return [due.arrival.line async for due in given_out(ReadAhead(when_they_arrive(given, None)))]

    assert asyncio.run(run()) == [1, 2]
