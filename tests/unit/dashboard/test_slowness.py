"""The rule that says why a model is slow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.views.slowness import GROWN, NOTICEABLE, verdict
from storage.queries import Load
from tests.unit.dashboard.served import load

AGO = "15 minutes"
SECONDS = st.floats(0, 100)


@pytest.mark.parametrize(
    ("now", "before", "cause", "headline"),
    [
        (load(3.0, 1.0), load(0.5, 1.0), "queueing", "Slow because queueing"),
        (load(0.1, 4.0), load(0.1, 1.0), "computing", "Slow because computing"),
        # It grew by computing, although most of it is waiting.
        (load(3.0, 2.5), load(3.0, 1.0), "computing", "Slow because computing"),
        (load(3.0, 1.0), load(3.0, 1.0), "queueing", "Slow because queueing"),
        (load(3.0, 1.0), Load(), "queueing", "Slow because queueing"),
        (load(0.1, 1.0), load(0.1, 1.0), None, "Not slowed by queueing"),
        (load(0.1, 1.0), Load(), None, "Not slowed by queueing"),
        # Four times as long, and nobody would notice.
        (load(0.0, 0.0004), load(0.0, 0.0001), None, "Not slowed by queueing"),
        (Load(), load(0.1, 1.0), None, "Nothing to tell"),
        (Load(requests=5), load(0.1, 1.0), None, "Nothing to tell"),
    ],
)
def test_the_cause_is_what_grew_more_or_what_most_of_it_is(
    now: Load, before: Load, cause: str | None, headline: str
) -> None:
    found = verdict(now, before, AGO)
    assert (found.cause, found.headline) == (cause, headline)


def test_the_sentence_says_what_it_rests_on() -> None:
    assert verdict(load(2.0, 1.5), load(0.5, 1.0), AGO).because == (
        "A request takes 3.50 s on average, 1.50 s in the 15 minutes before; 75.0 % of the rise is queueing."
    )
    assert verdict(load(0.5, 1.5), Load(), AGO).because == (
        "A request takes 2.00 s on average (nothing to compare it with); it waits 500 ms of that, 25.0 %, and is "
        "computed for the rest."
    )
    assert verdict(load(3.0, 1.0), load(3.0, 1.0), AGO).because == (
        "A request takes 4.00 s on average (4.00 s in the 15 minutes before); it waits 3.00 s of that, 75.0 %."
    )


def test_a_model_that_answers_from_threads_of_its_own_is_judged_by_what_its_clients_wait() -> None:
    counted = load(0.0012, 0.001)
    assert verdict(counted, Load(), AGO).headline == "Slow because queueing"
    found = verdict(counted, load(0.0001, 0.0001), AGO, seen=0.85)
    assert (found.cause, found.headline) == (None, "Not slowed by queueing")
    assert found.because == (
        "Clients have their answer after 850 ms (median), and Triton counts 2.20 ms for a request: the model answers "
        "from threads of its own. A request waits 1.20 ms on average."
    )
    assert verdict(counted, Load(), AGO, seen=0.003).headline == "Slow because queueing"


def test_why_there_is_nothing_to_tell_is_said() -> None:
    assert verdict(Load(), Load(), AGO).because == "No request succeeded in the last 15 minutes."
    assert verdict(Load(requests=5), Load(), AGO).because == "Triton does not tell times."


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_computing_is_never_blamed_where_it_did_not_grow(q: float, c: float, q0: float, c0: float) -> None:
    found = verdict(load(q, c), load(q0, c0), AGO)
    if found.cause == "computing":
        assert c > c0
        assert q + c >= GROWN * (q0 + c0) * (1 - 1e-9)
        assert q + c - q0 - c0 >= NOTICEABLE * (1 - 1e-6)
    if found.cause is None:
        assert q <= c
