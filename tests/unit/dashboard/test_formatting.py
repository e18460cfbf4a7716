from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import formatting as fmt

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}"),
        (0.0, "0 s"),
        (0.00000042, "0.42 µs"),
        (0.000999, "999 µs"),
        (0.0009996, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.182, "182 ms"),
        (0.9996, "1.00 s"),
        (1.236, "1.24 s"),
        (59.96, "1 min"),
        (125.0, "2 min 5 s"),
        (3_600.0, "1 h"),
        (3_600.0 * 6 + 2_399, "6 h 39 min"),
        (86_400.0 * 3 + 3_600, "3 d 1 h"),
    ],
)
def test_durations_have_the_unit_that_suits_them(value: float | None, text: str) -> None:
    assert fmt.seconds(value) == text


@given(st.floats(1e-9, 1e9))
def test_no_duration_is_shown_as_nothing_or_without_a_unit(value: float) -> None:
    text = fmt.seconds(value)
    assert text.split(" ")[-1] in {"µs", "ms", "s", "min", "h", "d"}
    assert not text.startswith("1000 ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (Decimal(0), "$0.00"),
        (Decimal("0.000000123"), "$0.000000123"),
        (Decimal("0.0000348"), "$0.0000348"),
        (Decimal("0.05"), "$0.0500"),
        (Decimal("0.5"), "$0.50"),
        (Decimal("1234.5"), "$1,234.50"),
        (Decimal("123456.7"), "$123,457"),
    ],
)
def test_money_is_unknown_or_dollars(value: Decimal | None, text: str) -> None:
    assert fmt.money(value) == text


@given(st.decimals("0.000000001", "1000000", places=9))
def test_a_cost_that_is_not_zero_never_looks_like_zero(value: Decimal) -> None:
    assert any(digit in fmt.money(value) for digit in "123456789")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0 %"),
        (0.0001, "<0.1 %"),
        (0.123, "12.3 %"),
        (0.9999, ">99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_are_per_cent(value: float | None, text: str) -> None:
    assert fmt.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (99_999, "99,999"),
        (590_400, "590.4k"),
        (2_450_000, "2.45M"),
        (7_000_000_000, "7.00G"),
    ],
)
def test_counts_stay_readable(value: int | None, text: str) -> None:
    assert fmt.count(value) == text


def test_plural() -> None:
    assert fmt.plural(1, "request") == "1 request"
    assert fmt.plural(0, "request") == "0 requests"
    assert fmt.plural(2, "query", "queries") == "2 queries"


@pytest.mark.parametrize(
    ("requests", "length", "text"),
    [(0, 60, "0/s"), (5_975, 3_600, "1.66/s"), (3, 900, "0.20/min"), (120_000, 60, "2,000/s")],
)
def test_rates_are_per_second_or_per_minute(requests: int, length: float, text: str) -> None:
    assert fmt.rate(requests, length) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (None, 1.0, None),
        (1.0, None, None),
        (1.0, 0.0, None),
        (1.0, 1.0, "+0 %"),
        (1.17, 1.0, "+17 %"),
        (0.5, 1.0, "-50 %"),
        (67.0, 1.0, "67 times"),
    ],
)
def test_changes_are_per_cent_or_times(now: float | None, before: float | None, text: str | None) -> None:
    assert fmt.change(now, before) == text


def test_a_clock_shows_the_date_only_of_another_day() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert fmt.clock(NOW - timedelta(minutes=5), NOW, berlin) == "12:55:00"
    assert fmt.clock(NOW - timedelta(days=1), NOW, berlin) == "28 Feb 13:00"


def test_ago_never_says_zero_or_the_future() -> None:
    assert fmt.ago(NOW + timedelta(seconds=3), NOW) == "1 s ago"
    assert fmt.ago(NOW - timedelta(minutes=3), NOW) == "3 min ago"


def test_words_follow_the_last_and_per() -> None:
    lengths = (timedelta(minutes=5), timedelta(minutes=1), timedelta(hours=1), timedelta(hours=24))
    assert [fmt.words(length) for length in lengths] == ["5 minutes", "minute", "hour", "24 hours"]


def test_numbers_have_four_digits_that_count() -> None:
    assert fmt.number(None) == "\N{EN DASH}"
    assert fmt.number(0.0342157) == "0.03422"
    assert fmt.number(12_345_678.0) == "1.235e+07"


def test_a_name_that_is_empty_says_of_what() -> None:
    assert fmt.named("", "team") == "no team"
    assert fmt.named("search", "team") == "search"
