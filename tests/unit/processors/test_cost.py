"""What inferences cost: exact, each token once, and unknown where it is not known."""

from __future__ import annotations

import datetime as dt
import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.enrich.price import Price, PriceBook, Pricer, in_currency

NOW = 1_800_000_000_000_000
COLUMNS = (
    *("models", "providers", "started_at", "duration", "input_tokens", "output_tokens"),
    *("cached", "creation", "reasoning", "status"),
)


def price(name: str = "p", model: str = "*", **given: Any) -> Price:
    amounts: dict[str, Any] = {key: Decimal(value) if isinstance(value, str) else value for key, value in given.items()}
    return Price(name=name, model=model, effective_from=dt.date(2024, 1, 1), **amounts)


def pricer(*prices: Price) -> Pricer:
    return Pricer(PriceBook("USD", prices))


def row(**given: Any) -> dict[str, Any]:
    """Return an inference by the names of `Pricer.costs`."""
    of_none = dict.fromkeys(("input_tokens", "output_tokens", "cached", "creation", "reasoning"))
    return {
        "models": "m",
        "providers": "triton",
        "started_at": NOW,
        "duration": 0.5,
        "status": "ok",
        **of_none,
        **given,
    }


def costs(prices: Pricer, rows: list[dict[str, Any]]) -> tuple[list[int | None], list[str]]:
    return prices.costs(**{name: [one[name] for one in rows] for name in COLUMNS})


def cost(prices: Pricer, **given: Any) -> Decimal | None:
    (nano,), (name,) = costs(prices, [row(**given)])
    assert (nano is None) == (name == "")
    return None if nano is None else in_currency(nano)


TOKENS = {"input_per_million_tokens": "3", "output_per_million_tokens": "15"}
CACHE = {"cached_input_per_million_tokens": "0.3", "cache_creation_per_million_tokens": "3.75"}


@pytest.mark.parametrize(
    ("amounts", "used", "expected"),
    [
        (TOKENS, {"input_tokens": 1000, "output_tokens": 200}, "0.006"),
        (
            TOKENS,
            {"input_tokens": 1000, "output_tokens": 200, "cached": 600, "creation": 100, "reasoning": 50},
            "0.006",
        ),
        (TOKENS | CACHE, {"input_tokens": 1000, "output_tokens": 200, "cached": 600}, "0.00438"),
        (TOKENS | CACHE, {"input_tokens": 1000, "output_tokens": 200, "cached": 600, "creation": 300}, "0.004605"),
        (
            TOKENS | {"reasoning_per_million_tokens": "20"},
            {"input_tokens": 0, "output_tokens": 9, "reasoning": 4},
            "0.000155",
        ),
        (TOKENS | {"per_request": "0.01"}, {"input_tokens": 0, "output_tokens": 0}, "0.01"),
        ({"per_request": "0.01"}, {}, "0.01"),
        ({"input_per_million_tokens": "3"}, {"input_tokens": 1_000_000}, "3"),
        ({"input_per_million_tokens": "0.02"}, {"input_tokens": 1, "output_tokens": 0}, "0.00000002"),
        ({"input_per_million_tokens": "0.1"}, {"input_tokens": 3, "output_tokens": 0}, "0.0000003"),
        (TOKENS, {"input_tokens": None, "output_tokens": 5}, None),
        (TOKENS, {"input_tokens": 5, "output_tokens": None}, None),
        (CACHE, {"input_tokens": None, "cached": 5}, None),
        ({"reasoning_per_million_tokens": "1"}, {"output_tokens": None, "reasoning": 5}, None),
        ({}, {"input_tokens": 5, "output_tokens": 5}, "0"),
    ],
)
def test_a_cost_is_exact_or_unknown(amounts: dict[str, str], used: dict[str, int | None], expected: str | None) -> None:
    found = cost(pricer(price(**amounts)), **used)
    assert found == (None if expected is None else Decimal(expected))
    assert found is None or -int(found.as_tuple().exponent) <= 9


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ({"input_tokens": 1000, "output_tokens": 0, "cached": 5000}, "0.0003"),
        ({"input_tokens": 1000, "output_tokens": 0, "cached": 600, "creation": 5000}, "0.00168"),
        ({"input_tokens": 1000, "output_tokens": 0, "cached": 5000, "creation": 5000}, "0.0003"),
        ({"input_tokens": 0, "output_tokens": 100, "reasoning": 5000}, "0.002"),
        ({"input_tokens": 0, "output_tokens": 0, "cached": 7, "creation": 7, "reasoning": 7}, "0"),
    ],
)
def test_parts_beyond_their_total_are_not_charged_for(used: dict[str, int], expected: str) -> None:
    prices = pricer(price(**TOKENS, **CACHE, reasoning_per_million_tokens="20"))
    assert cost(prices, **used) == Decimal(expected)


GEMINI = {"input_per_million_tokens": "2", "output_per_million_tokens": "12"}
SONNET = TOKENS | CACHE
MINI = {
    "input_per_million_tokens": "0.15",
    "cached_input_per_million_tokens": "0.075",
    "output_per_million_tokens": "0.6",
}


@pytest.mark.parametrize(
    ("amounts", "used", "expected"),
    [
        pytest.param(
            MINI,
            {"input_tokens": 17_903, "output_tokens": 0, "cached": 17_817},
            "0.001349175",
            id="langfuse-10592: cached input counted once",
        ),
        pytest.param(
            MINI,
            {"input_tokens": 1_999, "output_tokens": 0, "cached": 1_792},
            "0.00016545",
            id="langfuse-5568: the second of two alike requests is cheaper",
        ),
        pytest.param(
            GEMINI,
            {"input_tokens": 324, "output_tokens": 1_364 + 495, "reasoning": 495},
            "0.022956",
            id="langfuse-12531: reasoning charged once, at the output price",
        ),
        pytest.param(
            GEMINI | {"reasoning_per_million_tokens": "3.5"},
            {"input_tokens": 324, "output_tokens": 1_364 + 495, "reasoning": 495},
            "0.0187485",
            id="langfuse-12531: reasoning charged once, at a price of its own",
        ),
        pytest.param(
            SONNET,
            {"input_tokens": 10_500, "output_tokens": 200, "cached": 10_000, "creation": 300},
            "0.007725",
            id="mlflow-22304: cache reads and writes at their own prices",
        ),
        pytest.param(None, {"input_tokens": 9, "output_tokens": 9}, None, id="helicone-3687: no price is not 0"),
        pytest.param(SONNET, {}, None, id="langfuse-10879: no token counts is not 0"),
        pytest.param(
            SONNET | {"per_request": "1"}, {"input_tokens": 9}, None, id="litellm-1855: half of a cost is not a cost"
        ),
    ],
)
def test_what_users_of_other_tools_complained_about(
    amounts: dict[str, str] | None, used: dict[str, int], expected: str | None
) -> None:
    prices = pricer() if amounts is None else pricer(price(**amounts))
    assert cost(prices, **used) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("day", "name"),
    [
        pytest.param("2009-12-31", "", id="langfuse-12184: before the first price"),
        pytest.param("2010-01-01", "first", id="langfuse-12184: a price that was entered later holds from its own day"),
        pytest.param("2024-12-31", "first", id="langfuse-4590: a new price leaves what was before as it was"),
        pytest.param("2025-01-01", "second", id="langfuse-4590: a new price holds from its day"),
    ],
)
def test_prices_hold_from_a_day(day: str, name: str) -> None:
    first = Price(name="first", model="*", effective_from=dt.date(2010, 1, 1), per_request=Decimal(1))
    second = Price(name="second", model="*", effective_from=dt.date(2025, 1, 1), per_request=Decimal(2))
    noon = int(dt.datetime.fromisoformat(f"{day}T12:00+00:00").timestamp()) * 1_000_000
    assert costs(pricer(second, first), [row(started_at=noon)])[1] == [name]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"per_gpu_hour": "3.6"}, "0.0005"),
        ({"per_gpu_hour": "3.6", "gpus": "8"}, "0.004"),
        ({"per_gpu_hour": "3.6", "gpus": "0.25"}, "0.000125"),
        ({"per_gpu_hour": "3.6", "gpus": "8", "concurrency": 16}, "0.00025"),
        ({"per_gpu_hour": "2.5", "concurrency": 7}, "0.000049603"),
        ({"per_gpu_hour": "3.6", "per_request": "1", "output_per_million_tokens": "15"}, "1.00053"),
    ],
)
def test_a_gpu_is_paid_for_the_time_a_request_took(given: dict[str, Any], expected: str) -> None:
    assert cost(pricer(price(**given)), duration=0.5, output_tokens=2) == Decimal(expected)


def test_a_failed_request_is_charged_for_what_it_is_known_to_have_used() -> None:
    prices = pricer(price(**TOKENS, per_gpu_hour="3.6"))
    assert cost(prices, status="error") == Decimal("0.0005")
    assert cost(prices, status="error", input_tokens=1000) == Decimal("0.0035")
    assert cost(prices, status="cancelled", input_tokens=1000) is None


@pytest.mark.parametrize(("nano", "expected"), [("0.0005", 0), ("0.0015", 2), ("0.0025", 2), ("0.00050001", 1)])
def test_half_a_billionth_is_rounded_to_even(nano: str, expected: int) -> None:
    assert costs(pricer(price(input_per_million_tokens=nano)), [row(input_tokens=1)])[0] == [expected]


def test_what_comes_to_more_than_can_be_stored_is_unknown() -> None:
    prices = pricer(price(per_gpu_hour="100000", gpus="10000"), price(model="m2", per_request="100000"))
    assert costs(prices, [row(duration=3600.0), row(duration=3599.0)])[0] == [None, 999_722_222_222_222_222]
    most = pricer(price(input_per_million_tokens="100000", output_per_million_tokens="100000", per_request="100000"))
    assert cost(most, input_tokens=2**32 - 1, output_tokens=2**32 - 1) == Decimal(859_093_459)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        pricer().costs(["m"], ["triton"], [NOW], [0.1], [1], [1], [None], [None], [None], [])


TOKEN_COUNT = st.none() | st.sampled_from((0, 1, 2, 2**32 - 1)) | st.integers(0, 2**32 - 1) | st.integers(0, 5_000)
AMOUNT = st.none() | st.decimals(0, 1_000, places=4) | st.decimals(0, 1, places=12)
BOOKS = st.builds(
    Price,
    name=st.sampled_from(("a", "b")),
    model=st.sampled_from(("m*", "m1", "*")),
    provider=st.sampled_from(("*", "triton")),
    effective_from=st.sampled_from((dt.date(2024, 1, 1), dt.date(2027, 1, 15), dt.date(2027, 1, 16))),
    input_per_million_tokens=AMOUNT.map(lambda amount: amount or Decimal(0)),
    cached_input_per_million_tokens=AMOUNT,
    cache_creation_per_million_tokens=AMOUNT,
    output_per_million_tokens=AMOUNT.map(lambda amount: amount or Decimal(0)),
    reasoning_per_million_tokens=AMOUNT,
    per_request=AMOUNT.map(lambda amount: amount or Decimal(0)),
    per_gpu_hour=AMOUNT.map(lambda amount: amount or Decimal(0)),
    gpus=st.sampled_from((Decimal(1), Decimal("0.25"), Decimal(8))),
    concurrency=st.sampled_from((1, 3, 7)),
)
ROWS = st.fixed_dictionaries(
    {
        "models": st.sampled_from(("m1", "m2", "other")),
        "providers": st.sampled_from(("triton", "none")),
        "started_at": st.integers(-2 * 86_400_000_000, 2 * 86_400_000_000).map(lambda offset: NOW + offset),
        "duration": st.floats(0, 1e6) | st.sampled_from((0.0, 5e-7, 1.5e-6, 2.5e-6)),
        "input_tokens": TOKEN_COUNT,
        "output_tokens": TOKEN_COUNT,
        "cached": TOKEN_COUNT,
        "creation": TOKEN_COUNT,
        "reasoning": TOKEN_COUNT,
        "status": st.sampled_from(("ok", "error", "cancelled")),
    }
)


def plain(book: PriceBook, one: dict[str, Any]) -> tuple[Decimal | None, str]:
    """The definition, in decimals of a hundred digits."""
    price = book.price_of(
        one["providers"], one["models"], dt.date(1970, 1, 1) + dt.timedelta(one["started_at"] // 86_400_000_000)
    )
    if price is None:
        return None, ""
    base, out = price.input_per_million_tokens, price.output_per_million_tokens
    cached, creation, reasoning = (
        other if amount is None else amount
        for amount, other in (
            (price.cached_input_per_million_tokens, base),
            (price.cache_creation_per_million_tokens, base),
            (price.reasoning_per_million_tokens, out),
        )
    )
    given, made = one["input_tokens"], one["output_tokens"]
    if one["status"] != "error" and (
        (given is None and (base or cached or creation)) or (made is None and (out or reasoning))
    ):
        return None, ""
    given, made = given or 0, made or 0
    read = min(one["cached"] or 0, given)
    written = min(one["creation"] or 0, given - read)
    thought = min(one["reasoning"] or 0, made)
    with decimal.localcontext(prec=100, rounding=decimal.ROUND_HALF_EVEN):
        tokens = (given - read - written) * base + read * cached + written * creation
        tokens += (made - thought) * out + thought * reasoning
        hours = Decimal(round(one["duration"] * 1e6)) / 3_600_000_000
        total = tokens / 1_000_000 + price.per_request + hours * price.per_gpu_hour * price.gpus / price.concurrency
        total = total.quantize(Decimal("0.000000001"))
    return (total, price.name) if total < 10**9 else (None, "")


@given(st.lists(BOOKS, max_size=4), st.lists(ROWS, max_size=8))
def test_whole_numbers_come_to_what_the_plain_formula_does(prices: list[Price], rows: list[dict[str, Any]]) -> None:
    book = PriceBook("USD", tuple(prices))
    found, names = costs(Pricer(book), rows)
    assert [(None if nano is None else in_currency(nano), name) for nano, name in zip(found, names, strict=True)] == [
        plain(book, one) for one in rows
    ]


def test_remembering_prices_has_a_bound_that_changes_no_cost() -> None:
    prices = pricer(price(per_request="1", model="m1*"))
    rows = [row(models=f"m{number}") for number in range(45_000)]
    found, _ = costs(prices, rows)
    assert [nano is not None for nano in found] == [one["models"].startswith("m1") for one in rows]
    days = [row(models="m1", started_at=NOW - number * 86_400_000_000) for number in range(200)]
    assert costs(prices, days)[0] == [10**9] * 200
