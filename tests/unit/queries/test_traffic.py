from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from storage.queries import Reader, TimeRange, Traffic, breakdown, series

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = TimeRange(START, START + timedelta(days=1))
NOBODY = cast(Reader, None)


def test_shares_of_nothing_are_unknown() -> None:
    assert Traffic().error_share is None
    assert Traffic().share_without_cost is None
    assert Traffic().share_with_pii is None


def test_requests_are_ok_errors_or_cancelled() -> None:
    assert Traffic(requests=10, errors=2, cancelled=1).ok == 7


@pytest.mark.parametrize("step", [timedelta(0), timedelta(milliseconds=500), timedelta(seconds=1.5)])
def test_a_step_of_part_of_a_second_is_refused(step: timedelta) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        series(NOBODY, DAY, step)


def test_a_series_too_long_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="longer step"):
        series(NOBODY, DAY, timedelta(seconds=1))


def test_a_dimension_that_is_none_is_refused_before_it_reaches_the_statement() -> None:
    dimension: Any = "model; DROP TABLE inferences"
    with pytest.raises(ValueError, match="No dimension"):
        breakdown(NOBODY, DAY, dimension)
