"""What an answer of a collector means for the record that was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.retry import Again, Answer, Delivered, Lost, Split, judge


@pytest.mark.parametrize(
    ("answer", "attempts", "events", "verdict"),
    [
        (Answer(200), 0, 5, Delivered()),
        (Answer(202), 7, 1, Delivered()),
        (Answer(301), 0, 5, Lost("the collector refused it with 301")),
        (Answer(400), 0, 5, Lost("the collector refused it with 400")),
        (Answer(401), 0, 5, Lost("the collector refused it with 401")),
        (Answer(404), 3, 1, Lost("the collector refused it with 404")),
        (Answer(413), 0, 2, Split()),
        (Answer(413), 0, 1, Lost("the collector refused it with 413")),
        (Answer(422), 2, 100, Split()),
        (Answer(422), 2, 1, Lost("the collector refused it with 422")),
        (Answer(501), 0, 5, Lost("the collector refused it with 501")),
        (Answer(408), 0, 5, Again(0.2, "the collector answered 408")),
        (Answer(500), 1, 5, Again(0.4, "the collector answered 500")),
        (Answer(503), 5, 5, Again(6.4, "the collector answered 503")),
        (Answer(503), 6, 5, Again(10.0, "the collector answered 503")),
        (Answer(429, "7"), 0, 5, Again(7.0, "the collector answered 429")),
        (Answer(429, "0"), 4, 5, Again(0.0, "the collector answered 429")),
        (Answer(503, "86400"), 0, 5, Again(100.0, "the collector answered 503")),
        (Answer(503, "Wed, 21 Oct 2015 07:28:00 GMT"), 1, 5, Again(0.4, "the collector answered 503")),
        (Answer(503, "-5"), 1, 5, Again(0.4, "the collector answered 503")),
        (Answer(503, "٣"), 1, 5, Again(0.4, "the collector answered 503")),
        (Answer(0, None, "TimeoutError"), 0, 5, Again(0.2, "no collector: TimeoutError")),
    ],
)
def test_each_answer_has_one_meaning(answer: Answer, attempts: int, events: int, verdict: object) -> None:
    assert judge(answer, attempts, events) == verdict


@given(st.integers(0, 999), st.none() | st.text(max_size=9), st.integers(0, 10**6), st.integers(1, 1000))
def test_every_answer_has_a_meaning_and_no_pause_is_endless(
    status: int, retry_after: str | None, attempts: int, events: int
) -> None:
    verdict = judge(Answer(status, retry_after), attempts, events)
    assert isinstance(verdict, Delivered | Lost | Split | Again)
    if isinstance(verdict, Again):
        assert 0.0 <= verdict.after <= 100.0
    if isinstance(verdict, Split):
        assert events > 1
