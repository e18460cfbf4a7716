"""Published prices: only for providers that are known to be hosted, by their own dates, without a network."""

from __future__ import annotations

import datetime as dt
import random
import socket
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider

from processors.enrich.price import Price, PriceBook, Pricer
from processors.pricing.hosted import PROVIDERS, hosted_model
from processors.pricing.match import Tariffs

HOSTED = Pricer(PriceBook("USD", ()))


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


SUMMER = at("2026-06-01T12:00")


def by_hand(**given: Any) -> Price:
    return Price(name="by hand", model="*", effective_from=dt.date(2024, 1, 1), **given)


def test_a_hosted_model_has_its_published_price() -> None:
    cost, name = HOSTED.cost("gpt-4o", SUMMER, 1_000_000, 100_000, 400_000, provider="openai")
    assert (cost, name) == (Decimal("3"), "genai-prices:openai/gpt-4o")


@pytest.mark.parametrize("model", ["gpt-4o", "llama-3", "claude-sonnet-4-5", "meta-llama/llama-3.1-8b-instruct"])
@pytest.mark.parametrize("provider", ["triton", "vllm", "", "my-openai", "nvidia"])
def test_a_model_of_ones_own_is_never_priced_as_a_hosted_one_of_that_name(model: str, provider: str) -> None:
    assert HOSTED.cost(model, SUMMER, 1, 1, provider=provider) == (None, "")


def test_a_model_can_be_given_a_published_price() -> None:
    book = PriceBook("USD", (by_hand(provider="triton", hosted="openai/gpt-4o"),))
    assert Pricer(book).cost("front", SUMMER, 1_000_000, 0) == (Decimal("2.5"), "genai-prices:openai/gpt-4o")


def test_a_provider_can_be_said_to_be_a_hosted_one() -> None:
    book = PriceBook("USD", (), hosted_providers={"our-gateway": "openai"})
    assert Pricer(book).cost("gpt-4o", SUMMER, 1_000_000, 0, provider="our-gateway")[0] == Decimal("2.5")


def test_the_book_comes_before_published_prices() -> None:
    book = PriceBook("USD", (by_hand(per_request=Decimal(1)),))
    assert Pricer(book).cost("gpt-4o", SUMMER, 1, 1, provider="openai") == (Decimal(1), "by hand")
    before = at("2023-12-31")
    assert Pricer(book).cost("gpt-4o", before, 1, 1, provider="openai")[1] == "genai-prices:openai/gpt-4o"


@pytest.mark.parametrize("book", [PriceBook("USD", (), hosted_prices=False), PriceBook("EUR", ())])
def test_published_prices_can_be_left_out_and_are_never_mixed_with_another_currency(book: PriceBook) -> None:
    assert Pricer(book).cost("gpt-4o", SUMMER, 1, 1, provider="openai") == (None, "")


@pytest.mark.parametrize(("day", "cost"), [("2025-06-09T23:59:59", "10"), ("2025-06-10", "2")])
def test_a_published_price_holds_by_its_own_dates(day: str, cost: str) -> None:
    assert HOSTED.cost("o3", at(day), 1_000_000, 0, provider="openai")[0] == Decimal(cost)


def test_a_published_price_may_change_in_the_course_of_a_day() -> None:
    costs = [
        HOSTED.cost("deepseek-chat", at(f"2026-06-01T{time}"), 1_000_000, 0, provider="deepseek")[0]
        for time in ("00:29:59.999999", "00:30", "16:29:59", "16:30")
    ]
    assert costs == [Decimal("0.135"), Decimal("0.27"), Decimal("0.27"), Decimal("0.135")]


def test_a_long_request_has_the_price_of_long_requests_for_all_of_its_tokens() -> None:
    costs = [
        HOSTED.cost("claude-sonnet-4-5", SUMMER, given, 1_000, provider="anthropic")[0] for given in (200_000, 200_001)
    ]
    assert costs == [Decimal("0.615"), Decimal("1.222506")]


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "llama-3"), ("groq", "whisper-large-v3"), ("openrouter", "openrouter/auto"), ("openai", "")],
    ids=["not theirs", "by the hour", "without a price", "without a name"],
)
def test_what_cannot_be_priced_by_tokens_is_unknown(provider: str, model: str) -> None:
    assert HOSTED.cost(model, SUMMER, 1, 1, provider=provider) == (None, "")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.usefixtures("no_network")
def test_published_prices_come_without_a_network() -> None:
    assert Pricer(PriceBook("USD", ())).cost("gpt-4o-mini", SUMMER, 1_000, 0, provider="openai")[0] == Decimal(
        "0.00015"
    )


def priced_models() -> list[tuple[Provider, ModelInfo]]:
    known = set(PROVIDERS.values())
    models = [(one, model) for one in get_snapshot().providers if one.id in known for model in one.models]
    return random.Random(5).sample(models, 300)


def test_costs_are_what_genai_prices_itself_computes() -> None:
    dice = random.Random(11)
    tariffs = Tariffs(PriceBook("USD", ()))
    names = {known_as: provider for provider, known_as in PROVIDERS.items()}
    compared = 0
    for provider, model in priced_models():
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=dice.randrange(31_536_000))
        since = int(moment.timestamp()) * 1_000_000
        if hosted_or_none(provider, model) is not model:
            continue
        (piece,) = tariffs.pieces(names[provider.id], model.id, since, since + 1)
        if piece.tariff is None:
            continue
        given, made = dice.choice((1_000, 150_000, 300_000)), dice.randrange(5_000)
        cached = dice.randrange(given)
        written = dice.randrange(given - cached)
        usage = Usage(input_tokens=given, output_tokens=made, cache_read_tokens=cached, cache_write_tokens=written)
        expected = model.calc_price(usage, provider, genai_request_timestamp=moment).total_price
        nano = piece.tariff.nano(given, made, cached, written, None, 0, False)
        assert nano is not None
        assert abs(nano - expected * 10**9) <= Decimal("0.5"), (provider.id, model.id)
        compared += 1
    assert compared > 150


def hosted_or_none(provider: Provider, model: ModelInfo) -> ModelInfo | None:
    """Return what its own name leads to, which for a few is another model."""
    try:
        return hosted_model(f"{provider.id}/{model.id}").model
    except ValueError:
        return None
