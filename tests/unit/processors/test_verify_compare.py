"""What of a comparison is a difference, and what is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.dead_letters.letter import LetterKey
from processors.topic_reader import Span
from processors.verify.bounds import bounds_of
from processors.verify.compare import ComparedRange, Run, runs
from processors.verify.count import Range
from processors.verify.dead import DeadCollector

PLACES = st.sets(st.tuples(st.integers(0, 30), st.integers(0, 2)))


def test_everything_before_the_last_row_is_processed_and_the_rest_waits() -> None:
    (bounds,) = bounds_of([Span(0, 10, 100)], {0: 59}, {0: 50})
    assert (bounds.first, bounds.end, bounds.waiting) == (10, 60, 40)


def test_dead_letters_behind_the_last_row_are_processed_once_they_are_committed() -> None:
    (bounds,) = bounds_of([Span(0, 0, 100)], {0: 59}, {0: 80})
    assert (bounds.end, bounds.waiting) == (80, 20)


def test_rows_that_are_all_gone_are_looked_for_up_to_where_workers_committed() -> None:
    (bounds,) = bounds_of([Span(0, 0, 100)], {}, {0: 100})
    assert (bounds.first, bounds.end, bounds.waiting) == (0, 100, 0)


def test_rows_beyond_the_end_of_the_topic_are_compared() -> None:
    (bounds,) = bounds_of([Span(0, 0, 100)], {0: 149}, {0: 100})
    assert (bounds.end, bounds.high, bounds.waiting) == (150, 100, 0)


def test_a_topic_that_retention_emptied_leaves_nothing_to_compare() -> None:
    (bounds,) = bounds_of([Span(0, 100, 100)], {0: 99}, {0: 100})
    assert (bounds.first, bounds.end, bounds.waiting) == (100, 100, 0)


def test_a_commit_beyond_the_end_of_a_topic_that_was_made_again_means_nothing() -> None:
    (bounds,) = bounds_of([Span(0, 0, 5)], {}, {0: 400})
    assert (bounds.end, bounds.waiting) == (5, 0)


def test_times_narrow_what_is_compared_and_not_what_waits() -> None:
    bounds = bounds_of([Span(0, 0, 100), Span(1, 0, 100)], {0: 79, 1: 79}, {}, {0: 30}, {0: 60})
    assert [(each.first, each.end, each.waiting) for each in bounds] == [(30, 60, 20), (100, 100, 20)]


def range_of(**values: int | None) -> Range:
    given: dict[str, int | None] = {"partition": 0, "first": 0, "end": 9, "hour": 0, "records": 3, "events": 5}
    return Range(**{**given, "fingerprint": 77, **values})  # type: ignore[arg-type]


def test_a_range_agrees_when_rows_and_dead_letters_are_its_events() -> None:
    assert ComparedRange(range_of(), 2, 70, 3, 7).agrees
    assert not ComparedRange(range_of(), 2, 70, 2, 7).agrees
    assert not ComparedRange(range_of(), 2, 70, 3, 8).agrees
    assert ComparedRange(range_of(), 2, 78, 3, 2**64 - 1).agrees


def test_what_kafka_forgot_is_not_judged() -> None:
    assert ComparedRange(range_of(records=None, events=0, fingerprint=0), 0, 0, 4, 9).agrees


def test_neighbours_that_are_wrong_in_the_same_way_are_told_together() -> None:
    kafka = [(offset, 0) for offset in range(10)]
    rows = dict.fromkeys([(0, 0), (1, 0), (5, 0)], 1) | {(6, 0): 2, (6, 1): 1, (99, 0): 3}
    found = list(runs(4, kafka, {(0, 0), (9, 0)}, rows))
    assert found == [
        Run("dead letter and row", 4, (0, 0), (0, 0), 1),
        Run("no row", 4, (2, 0), (4, 0), 3),
        Run("more than one row", 4, (6, 0), (6, 0), 1),
        Run("row of nothing", 4, (6, 1), (6, 1), 1),
        Run("no row", 4, (7, 0), (8, 0), 2),
        Run("row of nothing", 4, (99, 0), (99, 0), 1),
    ]
    assert [run.wrong for run in found] == [False, True, True, True, True, True]


@given(PLACES, PLACES, PLACES)
def test_runs_are_wrong_exactly_where_rows_and_dead_letters_are_not_the_events(
    kafka: set[tuple[int, int]], dead: set[tuple[int, int]], rows: set[tuple[int, int]]
) -> None:
    found = list(runs(0, sorted(kafka), dead, dict.fromkeys(rows, 1)))
    wrong = sum(run.events for run in found if run.wrong)
    assert wrong == len(kafka - dead - rows) + len(rows - kafka)
    assert all(run.events >= 1 and run.first <= run.last for run in found)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3))), st.integers(0, 20), st.integers(0, 20))
def test_dead_letters_that_repeat_count_once(letters: list[tuple[int, int]], first: int, end: int) -> None:
    collector = DeadCollector("t", "id")
    for offset, index in letters:
        collector.add(LetterKey("t", 1, offset, index, "id"))
    expected = {place for place in letters if first <= place[0] < end}
    places = collector.collected(1)
    assert places.places(first, end) == expected
    assert places.sums(first, max(first, end), 7)[0] == len(expected)


def test_dead_letters_of_another_topic_or_of_one_that_was_deleted_account_for_nothing() -> None:
    collector = DeadCollector("t", "id")
    for key in (LetterKey("other", 0, 1, 0), LetterKey("t", 0, 2, 0, "deleted"), LetterKey("t", 0, 3, 0)):
        collector.add(key)
    assert collector.collected(0).places(0, 10) == {(3, 0)}
