from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries import TimeRange
from storage.queries.tiles import DAY, HOUR, MINUTE, Kept, Tile, fits, tiles

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = Kept(NOON - 90 * DAY, NOON - 90 * DAY)
MINUTES = st.integers(0, 60 * 24 * 40).map(lambda minutes: NOON + minutes * MINUTE)
RANGES = st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: TimeRange(*pair))
STEPS = st.sampled_from([None, MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY])


def lengths(found: list[Tile]) -> list[tuple[str, timedelta]]:
    return [(tile.source, tile.range.end - tile.range.start) for tile in found]


@given(RANGES, STEPS)
def test_tiles_lie_side_by_side_and_cover_the_range(range: TimeRange, step: timedelta | None) -> None:
    found = tiles(range, step, ALL)
    assert (found[0].range.start, found[-1].range.end) == (range.start, range.end)
    assert all(left.range.end == right.range.start for left, right in pairwise(found))


@given(RANGES, STEPS)
def test_a_tile_lies_on_whole_units_that_no_step_cuts(range: TimeRange, step: timedelta | None) -> None:
    for tile in tiles(range, step, ALL):
        unit = {"toStartOfDay(t.bucket)": DAY}.get(tile.time, HOUR if tile.source == "metrics_1h" else MINUTE)
        assert tile.range.on_whole(unit)
        assert step is None or step % unit == timedelta(0)


@given(RANGES, STEPS)
def test_few_tiles_are_enough(range: TimeRange, step: timedelta | None) -> None:
    assert len(tiles(range, step, ALL)) <= 5


def test_a_long_range_is_mostly_days() -> None:
    range = TimeRange(NOON - 90 * MINUTE, NOON + 3 * DAY + 12 * MINUTE)
    assert lengths(tiles(range, None, ALL)) == [
        ("metrics_1m", 30 * MINUTE),
        ("metrics_1h", 13 * HOUR),
        ("metrics_1h", 2 * DAY),
        ("metrics_1h", 12 * HOUR),
        ("metrics_1m", 12 * MINUTE),
    ]


def test_a_series_of_minutes_needs_minutes() -> None:
    assert lengths(tiles(TimeRange(NOON, NOON + DAY), 15 * MINUTE, ALL)) == [("metrics_1m", DAY)]


def test_what_rollups_no_longer_keep_is_counted_from_rows() -> None:
    range = TimeRange(NOON - 30 * MINUTE, NOON + 2 * HOUR + MINUTE)
    minutes_gone = tiles(range, None, Kept(minutes=NOON, hours=NOON))
    assert lengths(minutes_gone) == [("inferences", 30 * MINUTE), ("metrics_1h", 2 * HOUR), ("metrics_1m", MINUTE)]
    both_gone = tiles(range, None, Kept(minutes=NOON + DAY, hours=NOON + DAY))
    assert [tile.source for tile in both_gone] == ["inferences"] * 3


@pytest.mark.parametrize(
    ("length", "step"),
    [(timedelta(seconds=90), None), (HOUR, timedelta(seconds=15)), (HOUR, timedelta(seconds=90))],
)
def test_parts_of_minutes_are_for_rows(length: timedelta, step: timedelta | None) -> None:
    range = TimeRange(NOON, NOON + length)
    assert not fits(range, step)
    with pytest.raises(ValueError, match="whole minutes"):
        tiles(range, step, ALL)
