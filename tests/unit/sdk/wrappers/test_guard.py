"""What is ours may fail: the call goes on, each kind of failure is logged once and all are counted."""

from __future__ import annotations

import pytest

from inferwatch.wrappers import faults
from inferwatch.wrappers.guard import guarded


@guarded
def divide(by: int) -> float:
    return 6 / by


def test_what_works_gives_what_it_gives() -> None:
    before = faults()
    assert divide(3) == 2
    assert faults() == before


def test_failures_are_counted_and_each_kind_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    assert [divide(0) for _ in range(3)] == [None] * 3
    assert divide("x") is None  # type: ignore[arg-type]  # what must not matter
    assert faults()["divide: ZeroDivisionError"] == 3
    assert faults()["divide: TypeError"] == 1
    assert len(caplog.records) == 2


def test_what_ends_programs_passes() -> None:
    @guarded
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
