from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries import TimeRange
from storage.queries.scope import floor, from_micros, to_micros

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
STEPS = st.sampled_from([timedelta(seconds=5), timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=15)])


@given(MOMENTS, STEPS, st.timedeltas(timedelta(minutes=1), timedelta(days=2)))
def test_the_last_range_holds_now_and_lies_on_whole_steps(now: datetime, step: timedelta, length: timedelta) -> None:
    found = TimeRange.last(length, now, step)
    assert found.start <= now < found.end
    assert found.on_whole(step)
    assert timedelta(0) <= found.end - found.start - length <= 2 * step


@given(MOMENTS, STEPS)
def test_steps_cover_the_range_without_a_gap(now: datetime, step: timedelta) -> None:
    found = TimeRange(now, now + timedelta(minutes=31))
    steps = found.steps(step)
    assert steps[0] <= found.start < steps[0] + step
    assert steps[-1] < found.end <= steps[-1] + step
    assert all(later - sooner == step for sooner, later in pairwise(steps))


@given(MOMENTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=400)))
def test_pieces_from_the_newest_cover_the_range_and_are_few(start: datetime, length: timedelta) -> None:
    found = list(TimeRange(start, start + length).newest_first(timedelta(minutes=5), 12))
    assert (found[0].end, found[-1].start) == (start + length, start)
    assert all(later.start == sooner.end for later, sooner in pairwise(found))
    assert len(found) <= 6


@given(MOMENTS, STEPS, st.timedeltas(timedelta(minutes=1), timedelta(days=2)))
def test_a_widened_range_is_the_steps_that_it_touches(start: datetime, step: timedelta, length: timedelta) -> None:
    found = TimeRange(start, start + length).widened(step)
    assert found.on_whole(step)
    assert timedelta(0) <= start - found.start < step
    assert timedelta(0) <= found.end - (start + length) < step


@given(MOMENTS)
def test_microseconds_come_back_exactly(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


def test_floor_does_not_care_about_the_zone() -> None:
    elsewhere = datetime(2026, 3, 1, 12, 0, 59, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert floor(elsewhere, timedelta(minutes=1)) == elsewhere.replace(second=0)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="with a zone"):
        TimeRange(datetime(2026, 3, 1), datetime(2026, 3, 2))


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="must end after"):
        TimeRange(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
