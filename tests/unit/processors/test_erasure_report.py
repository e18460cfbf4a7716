"""What an erasure tells people."""

from __future__ import annotations

from processors.erasure.report import ErasureReport, as_text
from storage.erasure.report import Found


def report(events: int, found: int) -> ErasureReport:
    before = (Found("topic inferwatch.inferences", 10, "records", found), Found("inferences", 5, "rows", events))
    after = tuple(Found(one.place, one.looked_at, one.unit, 0) for one in before)
    return ErasureReport("subject-1", False, events, before, after, 1.5)


def test_what_was_erased_is_counted_in_the_singular_and_the_plural() -> None:
    assert "Subject subject-1, 1 inference\n" in as_text(report(1, 1))
    assert "Subject subject-1, 2 inferences\n" in as_text(report(2, 2))


def test_a_subject_that_topics_name_and_no_row_is_suspicious() -> None:
    assert "INFERWATCH_USER_HASH_SECRET" in as_text(report(0, 1))
    for other in (report(1, 1), report(0, 0)):
        assert "INFERWATCH_USER_HASH_SECRET" not in as_text(other)
