"""What is kept of requests that are under way is bounded, one by one and all together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.sidecar.budget import MOST_PIECES, PIECE_BYTES, Budget
from ingest.sidecar.exchange import Capture
from ingest.sidecar.grpc_messages import MessageSplitter


def left(budget: Budget) -> int:
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        if budget.take(middle):
            budget.give_back(middle)
            low = middle
        else:
            high = middle - 1
    return low


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=300)), max_size=60), st.integers(0, 4_000))
def test_captures_together_keep_no_more_than_their_budget_and_give_all_of_it_back(
    pieces: list[tuple[int, bytes]], most: int
) -> None:
    budget = Budget(most)
    captures = [Capture(1_000, budget) for _ in range(4)]
    for which, data in pieces:
        captures[which].add(1.0, data)
        assert sum(capture.held for capture in captures) <= most
        assert all(capture.captured <= 1_000 for capture in captures)
    assert sum(capture.size for capture in captures) == sum(len(data) for _, data in pieces)
    for capture in captures:
        capture.release()
        capture.release()
    assert left(budget) == most


def test_what_does_not_fit_the_budget_is_known_to_be_missing() -> None:
    capture = Capture(1_000, Budget(PIECE_BYTES + 10))
    capture.add(1.0, b"0123456789")
    assert capture.whole
    capture.add(2.0, b"more")
    assert (capture.whole, capture.size, capture.joined(), capture.last) == (False, 14, b"0123456789", 2.0)


def test_what_comes_after_a_gap_is_not_kept_as_if_there_were_none() -> None:
    budget = Budget(PIECE_BYTES + 10)
    capture = Capture(1_000, budget)
    capture.add(1.0, b"0123456789")
    capture.add(2.0, b"a gap")
    budget.give_back(1_000)
    capture.add(3.0, b"later")
    assert (capture.joined(), capture.size, capture.pieces, capture.whole) == (b"0123456789", 20, 3, False)


def test_a_body_of_tiny_pieces_is_cut_before_their_number_costs_memory() -> None:
    capture = Capture(1 << 20)
    for _ in range(MOST_PIECES + 5):
        capture.add(1.0, b"x")
    assert (len(capture.parts), capture.pieces, capture.whole) == (MOST_PIECES, MOST_PIECES + 5, False)


@given(st.lists(st.integers(1, 3_000), max_size=20), st.integers(0, 6_000), st.booleans())
def test_of_a_message_its_beginning_is_kept_and_of_that_always_enough_for_its_id(
    cuts: list[int], most: int, back: bool
) -> None:
    content = bytes(range(256)) * 20
    budget, stream = Budget(most), b"\0" + len(content).to_bytes(4, "big") + content
    splitter = MessageSplitter(4_000, budget)
    at = 0
    for cut in cuts:
        splitter.feed(memoryview(stream)[at : at + cut])
        at += cut
        if back and at > 2_000:
            budget.give_back(10_000)  # others have ended
            back = False
    here = max(0, min(at, len(stream)) - 5)
    (message,) = [splitter.rest()] if at < len(stream) else [None]
    if message is not None:
        assert content.startswith(message.data)
        assert min(here, 1_024) <= len(message.data) <= min(here, 4_000)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20), st.integers(0, 2_000))
def test_a_splitter_gives_back_what_it_took(cuts: list[int], most: int) -> None:
    message = b"\0" + (1_000).to_bytes(4, "big") + bytes(1_000)
    budget, stream = Budget(most), message * 3
    splitter = MessageSplitter(800, budget)
    found, at = [], 0
    for cut in (*cuts, len(stream)):
        found += splitter.feed(memoryview(stream)[at : at + cut])
        at += cut
    splitter.rest()
    assert [one.size for one in found] == [1_000] * len(found)
    assert len(found) == min(3, at // 1_005)
    assert left(budget) == most
