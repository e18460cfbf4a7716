"""What comes nearly in order leaves in order, and what does not is told."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from ingest.replay.arrival import Arrival
from ingest.replay.order import Bounds, by_arrival, in_order
from ingest.replay.window import Window, within
from tests.unit.replay.traces import arrival, arrivals

times = st.lists(st.floats(0, 1000), max_size=40)


def ordered(values: list[float], most: int) -> tuple[list[float], int]:
    told: list[None] = []
    found = [each.at for each in by_arrival(arrivals(*values), most, lambda: told.append(None))]
    return found, len(told)


@given(times, st.integers(0, 50))
def test_nothing_is_lost_or_made(values: list[float], most: int) -> None:
    assert sorted(ordered(values, most)[0]) == sorted(values)


@given(times)
def test_with_room_for_all_the_order_is_that_of_time_and_nothing_is_told(values: list[float]) -> None:
    assert ordered(values, len(values)) == (sorted(values), 0)


@given(times, st.integers(0, 50))
def test_what_leaves_out_of_order_is_told(values: list[float], most: int) -> None:
    found, told = ordered(values, most)
    latest = [max(found[: place + 1]) for place in range(len(found))]
    assert told == sum(at < most_so_far for at, most_so_far in zip(found, latest, strict=True))


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, 30))
def test_those_of_one_time_keep_the_order_they_came_in(values: list[int], most: int) -> None:
    found = list(by_arrival(arrivals(*map(float, values)), most, lambda: None))
    for at in set(values):
        lines = [each.line for each in found if each.at == at]
        assert lines == sorted(lines)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), max_size=40), st.integers(0, 9), st.integers(0, 40))
def test_no_more_is_held_than_the_bounds_allow(items: list[tuple[int, int]], most: int, size: int) -> None:
    taken: list[tuple[int, int]] = []

    def given_out() -> Iterator[tuple[int, int]]:
        for item in items:
            taken.append(item)
            yield item

    left: list[tuple[int, int]] = []
    for item in in_order(given_out(), lambda each: each[0], lambda each: each[1], Bounds(most, size)):
        # One more than is held was taken: the one that did not fit.
        held = taken[:]
        for gone in left:
            held.remove(gone)
        if len(taken) < len(items):
            assert len(held) <= most + 1
            assert sum(each[1] for each in held) - taken[-1][1] <= size
        left.append(item)


@given(times, st.floats(0, 500), st.none() | st.floats(1, 1000), st.none() | st.integers(1, 40))
def test_a_window_is_counted_from_the_first_arrival(
    values: list[float], begin: float, end: float | None, limit: int | None
) -> None:
    values.sort()
    found = [each.at for each in within(arrivals(*values), Window(begin, end, limit))]
    wanted = [at for at in values if at - values[0] >= begin and (end is None or at - values[0] < end)]
    assert found == (wanted if limit is None else wanted[:limit])


def test_a_window_reads_no_further_than_its_end() -> None:
    def endless() -> Iterator[Arrival]:
        yield arrival(0.0)
        yield arrival(10.0)
        raise AssertionError("read on")

    assert [each.at for each in within(endless(), Window(end=5.0))] == [0.0]
    assert [each.at for each in within(endless(), Window(limit=2))] == [0.0, 10.0]
