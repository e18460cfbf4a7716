"""Tokens, prices and latency figures: exact, and None where nothing is known."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import Truncation, text_message
from processors.enrich.decode import SourceRecord
from processors.enrich.latency import time_per_output_token
from processors.enrich.price import Price, PriceBook, Pricer, load_price_book
from processors.enrich.tokens import Tokens, count_tokens
from processors.errors import InvalidPriceBook
from tests.unit.processors.makers import NOW, event, pipeline, record

ASKED = (text_message("user", "x" * 9),)
MADE = (text_message("assistant", "x" * 4),)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, Tokens(3, 4, "reported")),
        ({"input_tokens": 3, "output_tokens": 4, "token_source": "counted"}, Tokens(3, 4, "counted")),
        ({"input_tokens": 0, "output_tokens": 0}, Tokens(0, 0, "reported")),
        ({"input_messages": ASKED, "output_messages": MADE}, Tokens(3, 1, "estimated")),
        ({"input_messages": ASKED, "output_messages": MADE, "output_tokens": 7}, Tokens(3, 7, "estimated")),
        ({"input_messages": ASKED}, Tokens(3, 0, "estimated")),
        ({"input_messages": ASKED, "status": "cancelled"}, Tokens(3, 0, "estimated")),
        ({"input_messages": ASKED, "output_messages": MADE, "status": "error"}, Tokens(None, None, "")),
        ({"input_messages": ASKED, "status": "error", "input_tokens": 7}, Tokens(7, None, "reported")),
        ({"status": "error", "output_tokens": 7, "token_source": "counted"}, Tokens(None, 7, "counted")),
        ({"status": "error", "input_tokens": 3, "output_tokens": 4}, Tokens(3, 4, "reported")),
        ({}, Tokens(None, None, "")),
        ({"input_tokens": 3}, Tokens(3, None, "reported")),
        ({"content_unavailable": True, "input_messages": ASKED}, Tokens(None, None, "")),
        (
            {"input_messages": ASKED, "truncated": Truncation(input_characters=400, output_characters=41)},
            Tokens(100, 11, "estimated"),
        ),
    ],
)
def test_tokens_are_reported_or_estimated_or_unknown(fields: dict[str, Any], tokens: Tokens) -> None:
    assert count_tokens(event(**fields)) == tokens


def price(name: str, day: str, **amounts: str) -> Price:
    model = amounts.pop("model", "m*")
    given = {key: Decimal(value) for key, value in amounts.items()}
    return Price(name=name, model=model, effective_from=dt.date.fromisoformat(day), **given)


def at(day: str) -> float:
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp()


def pricer(*prices: Price) -> Pricer:
    return Pricer(PriceBook("USD", prices))


def test_an_event_is_priced_by_its_own_time() -> None:
    book = pricer(
        price("new", "2024-06-01", per_request="2"),
        price("old", "2024-01-01", per_request="1"),
        price("future", "2025-01-01", per_request="3"),
    )
    assert book.cost("m", at("2023-12-31T23:59:59"), 1, 1, None) == (None, "")
    assert book.cost("m", at("2024-01-01"), 1, 1, None) == (Decimal(1), "old")
    assert book.cost("m", at("2024-05-31T23:59:59"), 1, 1, None) == (Decimal(1), "old")
    assert book.cost("m", at("2024-06-01"), 1, 1, None) == (Decimal(2), "new")


def test_of_two_prices_of_one_day_the_first_holds() -> None:
    book = pricer(price("a", "2024-01-01", model="m-large"), price("b", "2024-01-01", model="m*", per_request="9"))
    assert book.cost("m-large", at("2024-02-01"), 1, 1, None) == (Decimal(0), "a")
    assert book.cost("m-small", at("2024-02-01"), 1, 1, None)[1] == "b"


TOKENS = {"input_per_million_tokens": "3", "output_per_million_tokens": "15"}


@pytest.mark.parametrize(
    ("amounts", "counts", "cost"),
    [
        (TOKENS, (1000, 200, None), "0.006"),
        (TOKENS, (1000, 200, 600), "0.006"),
        ({**TOKENS, "cached_input_per_million_tokens": "0.3"}, (1000, 200, 600), "0.00438"),
        ({**TOKENS, "cached_input_per_million_tokens": "0"}, (1000, 200, 5000), "0.003"),
        ({**TOKENS, "per_request": "0.01"}, (0, 0, None), "0.01"),
        ({"per_request": "0.01"}, (None, None, None), "0.01"),
        ({"input_per_million_tokens": "3"}, (1_000_000, None, None), "3"),
        ({"input_per_million_tokens": "0.02"}, (1, 0, None), "0.00000002"),
        ({"input_per_million_tokens": "0.1"}, (3, 0, None), "0.0000003"),
        (TOKENS, (None, 5, None), None),
        (TOKENS, (5, None, None), None),
        ({}, (5, 5, None), "0"),
    ],
)
def test_a_cost_is_exact_or_unknown(
    amounts: dict[str, str], counts: tuple[int | None, int | None, int | None], cost: str | None
) -> None:
    found, name = pricer(price("p", "2024-01-01", **amounts)).cost("m", at("2024-02-01"), *counts)
    assert (found, name) == ((None, "") if cost is None else (Decimal(cost), "p"))
    assert found is None or -found.as_tuple().exponent <= 9  # type: ignore[operator]  # finite, so a number


def test_a_model_without_a_price_has_no_cost() -> None:
    assert pricer(price("p", "2024-01-01")).cost("other", at("2024-02-01"), 1, 1, None) == (None, "")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.decimals(0, 1000, places=6))
def test_a_cost_is_never_off_by_more_than_half_a_billionth(given: int, made: int, amount: Decimal) -> None:
    book = pricer(price("p", "2024-01-01", input_per_million_tokens=str(amount), output_per_million_tokens="1"))
    cost, _ = book.cost("m", at("2024-02-01"), given, made, None)
    assert cost is not None
    assert abs(cost * 1_000_000 - (amount * given + made)) <= Decimal("0.0005")


def test_the_packaged_prices_can_be_read_and_match_the_demo() -> None:
    book = load_price_book()
    assert book.currency == "USD"
    assert Pricer(book).cost("smollm2", at("2026-01-01"), 1_000_000, 1_000_000, None)[0] == Decimal("0.08")


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, "0"),
        ({"input_messages": ASKED, "output_messages": MADE}, "0"),
        ({"content_unavailable": True}, "0"),
        ({"input_tokens": 1_000_000}, "0.02"),
        ({"output_tokens": 1_000_000}, "0.06"),
        ({"input_tokens": 1_000_000, "output_tokens": 1_000_000}, "0.08"),
        ({"request_model": "other"}, None),
    ],
)
def test_a_failed_request_costs_what_it_is_known_to_have_used(fields: dict[str, Any], cost: str | None) -> None:
    (item,) = pipeline().enrich([SourceRecord(0, 0, record(event(status="error", **fields)).value)], NOW).items
    assert item.cost == (None if cost is None else Decimal(cost))
    assert item.price == ("" if cost is None else "smollm2-self-hosted")
    assert item.measurement("t").cost == (None if cost is None else float(cost))


@pytest.mark.parametrize("status", ["ok", "cancelled"])
def test_what_a_request_cost_that_did_not_fail_is_unknown_without_tokens(status: str) -> None:
    (item,) = pipeline().enrich([SourceRecord(0, 0, record(event(status=status)).value)], NOW).items
    assert (item.tokens, item.cost) == (Tokens(None, None, ""), None)


LINE = "currency: USD\nprices: [{name: a, model: m, effective_from: 2024-01-01, %s}]"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prices: [", "flow node"),
        ("currency: USD", "`prices`"),
        (LINE % "per_request: much", "$.prices[0].per_request"),
        (LINE % "per_requests: 1", "per_requests"),
        (LINE % "per_request: .nan", "price a: per_request is not from 0 to"),
        (LINE % "input_per_million_tokens: Infinity", "price a: input_per_million_tokens is not from 0 to"),
        (LINE % "cached_input_per_million_tokens: -1", "price a: cached_input_per_million_tokens is not from 0 to"),
        ("currency: USD\nprices: [{name: a, model: m, effective_from: soon}]", "$.prices[0].effective_from"),
    ],
)
def test_a_wrong_price_book_is_refused_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(InvalidPriceBook) as caught:
        load_price_book(path)
    assert caught.value.path == str(path)
    assert reason in caught.value.reason


def test_a_price_book_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidPriceBook, match=r"none\.yaml"):
        load_price_book(tmp_path / "none.yaml")


def test_decimals_without_quotes_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(LINE % "per_request: 0.1")
    assert load_price_book(path).prices[0].per_request == Decimal("0.1")


@pytest.mark.parametrize(
    ("duration", "first", "tokens", "expected"),
    [
        (1.0, 0.5, 6, 0.1),
        (1.0, 0.5, 2, 0.5),
        (1.0, None, 6, None),
        (1.0, 0.5, None, None),
        (1.0, 0.5, 1, None),
        (0.4, 0.5, 5, 0.0),
    ],
)
def test_time_per_output_token_counts_those_after_the_first(
    duration: float, first: float | None, tokens: int | None, expected: float | None
) -> None:
    assert time_per_output_token(duration, first, tokens) == expected
