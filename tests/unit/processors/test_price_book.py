"""The price book: which price holds, and what a file may say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from processors.enrich.price import Price, PriceBook, Pricer, load_price_book
from processors.errors import InvalidPriceBook

LINE = "currency: USD\nprices: [{name: a, model: m, effective_from: 2024-01-01, %s}]"


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def price(name: str, day: str = "2024-01-01", model: str = "m*", provider: str = "*", **amounts: str) -> Price:
    given: dict[str, Any] = {key: Decimal(value) for key, value in amounts.items()}
    return Price(name=name, model=model, provider=provider, effective_from=dt.date.fromisoformat(day), **given)


def pricer(*prices: Price) -> Pricer:
    return Pricer(PriceBook("USD", prices))


def test_an_event_is_priced_by_its_own_time() -> None:
    book = pricer(
        price("new", "2024-06-01", per_request="2"),
        price("old", "2024-01-01", per_request="1"),
        price("future", "2025-01-01", per_request="3"),
    )
    assert book.cost("m", at("2023-12-31T23:59:59"), 1, 1) == (None, "")
    assert book.cost("m", at("2024-01-01"), 1, 1) == (Decimal(1), "old")
    assert book.cost("m", at("2024-05-31T23:59:59"), 1, 1) == (Decimal(1), "old")
    assert book.cost("m", at("2024-06-01"), 1, 1) == (Decimal(2), "new")


def test_the_day_is_that_of_the_time_as_it_is_stored() -> None:
    book = pricer(price("new", "2024-06-01", per_request="2"), price("old", per_request="1"))
    midnight = at("2024-06-01")
    assert book.cost("m", midnight - 4e-7, 1, 1)[1] == "new"
    assert book.cost("m", midnight - 2e-6, 1, 1)[1] == "old"


def test_of_two_prices_of_one_day_the_first_holds() -> None:
    book = pricer(price("a", model="m-large", per_request="1"), price("b", per_request="9"))
    assert book.cost("m-large", at("2024-02-01"), 1, 1) == (Decimal(1), "a")
    assert book.cost("m-small", at("2024-02-01"), 1, 1) == (Decimal(9), "b")


def test_a_price_can_be_for_one_provider_only() -> None:
    book = pricer(price("own", provider="triton", per_request="1"), price("theirs", provider="aws.*", per_request="2"))
    assert book.cost("m", at("2024-02-01"), 1, 1, provider="triton") == (Decimal(1), "own")
    assert book.cost("m", at("2024-02-01"), 1, 1, provider="aws.bedrock") == (Decimal(2), "theirs")
    assert book.cost("m", at("2024-02-01"), 1, 1, provider="other") == (None, "")


def test_the_packaged_prices_can_be_read_and_match_the_demo() -> None:
    book = load_price_book()
    assert book.currency == "USD"
    assert Pricer(book).cost("smollm2", at("2026-01-01"), 1_000_000, 1_000_000)[0] == Decimal("0.08")


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
        (LINE % "reasoning_per_million_tokens: 100001", "price a: reasoning_per_million_tokens is not from 0 to"),
        (LINE % "per_gpu_hour: 0.0000000000001", "price a: per_gpu_hour has more than 12 decimal places"),
        (LINE % "provider: triton", "price a: no amount is given"),
        (LINE % "per_gpu_hour: 2, gpus: 0", "price a: gpus is not more than 0"),
        (LINE % "per_gpu_hour: 2, gpus: .nan", "price a: gpus is not more than 0"),
        (LINE % "per_gpu_hour: 2, concurrency: 0", "price a: concurrency is not from 1"),
        (LINE % "per_request: 2, concurrency: 4", "price a: gpus and concurrency say nothing without per_gpu_hour"),
        (LINE % "hosted: openai/gpt-4o, per_request: 1", "price a: hosted stands instead of amounts"),
        (LINE % "hosted: openai/llama-on-my-desk", "price a: hosted: genai-prices knows no model"),
        (LINE % "hosted: gpt-4o", "price a: hosted: genai-prices knows no provider 'gpt-4o'"),
        ("currency: USD\nprices: [{name: '', model: m, effective_from: 2024-01-01, per_request: 1}]", "name is empty"),
        ("currency: USD\nprices: [{name: a, model: m, effective_from: soon}]", "$.prices[0].effective_from"),
        ("currency: EUR\nhosted_prices: true\nprices: []", "hosted_prices: published prices are in USD"),
        (
            "currency: USD\nhosted_providers: {mine: nobody}\nprices: []",
            "hosted_providers: mine: genai-prices knows no",
        ),
        (
            "currency: EUR\n" + (LINE % "hosted: openai/gpt-4o").split("\n")[1],
            "price a: hosted: published prices are in",
        ),
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


def test_what_costs_nothing_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(LINE % "per_request: 0")
    assert Pricer(load_price_book(path)).cost("m", at("2024-02-01"), None, None) == (Decimal(0), "a")
