"""Halves of inferences find each other in whatever order they come, once, and none waits for ever."""

from __future__ import annotations

import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ingest.collector.cloudevents.half import Half, Kind
from ingest.collector.cloudevents.join import Join, Pair, hurried

WAIT = 60.0


def half(kind: Kind, key: str = "k", text: str = "") -> Half:
    return Half(kind=kind, key=key, id=key, text=text)


def kinds(pairs: list[Pair]) -> list[tuple[str, bool, bool]]:
    return [(pair.key, pair.request is not None, pair.response is not None) for pair in pairs]


def test_a_pair_is_due_at_once_also_when_the_response_comes_first() -> None:
    orders: list[tuple[Kind, Kind]] = [("request", "response"), ("response", "request")]
    for order in orders:
        join = Join(WAIT)
        join.take(half(order[0]), 0, 100.0)
        assert join.due(100.0) == []
        join.take(half(order[1]), 1, 101.0)
        assert kinds(join.due(101.0)) == [("k", True, True)]
        assert join.due(999.0) == []


def test_half_an_inference_is_due_when_it_has_waited() -> None:
    join = Join(WAIT)
    join.take(half("request", "a"), 0, 100.0)
    join.take(half("response", "b"), 1, 110.0)
    assert join.due(159.9) == []
    assert kinds(join.due(160.0)) == [("a", True, False)]
    assert kinds(join.due(170.0)) == [("b", False, True)]


def test_a_half_that_comes_twice_or_too_late_is_left_out_and_counted() -> None:
    join = Join(WAIT)
    join.take(half("request"), 0, 100.0)
    join.take(half("request"), 1, 100.0)
    assert kinds(join.due(200.0)) == [("k", True, False)]
    join.take(half("response"), 2, 201.0)
    assert join.due(999.0) == []
    assert (join.take_late(), join.take_late()) == (2, 0)


def test_a_note_that_is_read_long_after_its_inference_was_written_is_taken_as_any_other() -> None:
    join = Join(WAIT)
    join.take(half("request"), 0, 100.0)
    join.take(half("response"), 1, 100.0)
    assert kinds(join.due(100.0)) == [("k", True, True)]
    join.take(half("done"), 2, 100.0 + 11 * WAIT)
    assert join.due(100.0 + 11 * WAIT) == []
    assert join.resume_at == 3


def test_what_an_earlier_owner_joined_is_not_joined_again() -> None:
    join = Join(WAIT, replayed_to=5)
    join.take(half("request", "a"), 0, 100.0)
    join.take(half("request", "b"), 1, 100.0)
    join.take(half("response", "a"), 2, 100.0)
    join.take(half("response", "b"), 3, 100.0)
    assert join.due(500.0) == []
    join.take(half("done", "a"), 4, 101.0)
    assert kinds(join.due(101.0)) == [("b", True, True)]


def test_another_owner_has_to_read_from_the_oldest_half_that_waits() -> None:
    join = Join(WAIT)
    came: list[tuple[Kind, str]] = [("request", "a"), ("request", "b"), ("response", "a")]
    for offset, (kind, key) in enumerate(came):
        join.take(half(kind, key), offset, 100.0)
    assert join.resume_at == 0
    join.due(100.0)
    # What was written a short while ago may be sent again.
    join.due(159.0)
    assert join.resume_at == 0
    join.due(160.0)
    join.due(220.0)
    assert join.resume_at == 3


def test_memory_is_bounded_over_all_partitions_and_the_oldest_wait_no_longer() -> None:
    joins = [Join(WAIT), Join(WAIT)]
    for number in range(20):
        joins[number % 2].take(half("request", str(number), "x" * 2_000), number // 2, 100.0 + number)
    assert [join.due(120.0) for join in joins] == [[], []]
    pairs = hurried(joins, 10_000, 120.0)
    assert [pair.key for pair in pairs] == [str(number) for number in range(len(pairs))]
    assert sum(join.take_hurried() for join in joins) == len(pairs) == 17
    assert [join.waiting for join in joins] == [1, 2]
    assert hurried(joins, 10_000, 120.0) == []


@given(st.text(max_size=50), st.binary(max_size=50), st.dictionaries(st.text(), st.text(), max_size=3))
def test_a_half_counts_with_all_that_it_holds(text: str, data: bytes, headers: dict[str, str]) -> None:
    empty, full = half("request"), Half(kind="request", key="k", id="k", text=text * 1_000, data=data, headers=headers)
    held = [full.text, full.data, *headers, *headers.values()]
    assert full.size - empty.size >= sum(map(sys.getsizeof, held)) - 200


# Together shorter than what another owner still knows of.
STEPS = st.lists(st.tuples(st.sampled_from(["request", "response"]), st.integers(0, 5), st.floats(0, 1.5)), max_size=30)


@given(STEPS)
def test_each_inference_is_written_once(steps: list[tuple[Kind, int, float]]) -> None:
    join = Join(WAIT)
    now = 0.0
    written: list[Pair] = []
    for offset, (kind, key, pause) in enumerate(steps):
        now += pause
        written += join.due(now)
        join.take(half(kind, str(key)), offset, now)
    written += join.due(now + 2 * WAIT)
    assert Counter(pair.key for pair in written) == Counter({str(key) for _, key, _ in steps})
    assert join.waiting == 0
    join.due(now + 4 * WAIT)
    assert join.resume_at == len(steps)


@given(STEPS, st.integers(0, 30))
def test_another_owner_that_resumes_writes_what_the_first_one_did_not(
    steps: list[tuple[Kind, int, float]], killed_after: int
) -> None:
    """The topic as it stands after a kill: halves, and notes of what the first owner wrote."""
    topic: list[tuple[Half, float]] = []
    first = Join(WAIT)
    now, seen, written, resume_at = 0.0, 0, [], 0
    for step, (kind, key, pause) in enumerate(steps):
        now += pause
        topic.append((half(kind, str(key)), now))
        if step < killed_after:
            while seen < len(topic):
                first.take(topic[seen][0], seen, topic[seen][1])
                seen += 1
            for pair in first.due(now):
                written.append(pair.key)
                topic.append((half("done", pair.key), now))
            resume_at = first.resume_at
    second = Join(WAIT, replayed_to=len(topic))
    for offset in range(resume_at, len(topic)):
        second.take(topic[offset][0], offset, topic[offset][1])
    written += [pair.key for pair in (*second.due(now), *second.due(now + 2 * WAIT))]
    assert set(written) == {str(key) for _, key, _ in steps}
    assert max(Counter(written).values(), default=1) == 1
