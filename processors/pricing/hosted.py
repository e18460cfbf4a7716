"""Published prices of hosted models, from the data inside genai-prices. Never over the network.

Which company served a request is what its `provider` says, never a guess from the model's name: a Llama on one's own
Triton is called what a hosted one is called, and costs something else. So only providers that are named here, or in the
price book, have published prices; `triton` is not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from processors.pricing.exact import PerMillion, exact_tariff
from storage.tariff import Tariff

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

DayTariffs = tuple[tuple[int, Tariff | None], ...]
"""What holds on one day: from which microsecond of it, and what; None is that nothing is known. The first is from 0."""

PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "groq": "groq",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "x_ai": "x-ai",
}
"""Providers as events name them, after OpenTelemetry's `gen_ai.provider.name`, and what genai-prices calls them."""

PREFIX: Final = "genai-prices:"
"""How the name of a published price begins."""

_TOKENS_OR_EXTRAS: Final = ("_mtok", "searches_kcount", "requests_kcount")
"""Prices that can be told from the number of tokens, or that come on top of them and that no event counts.

Where a model is priced by the hour, page or character, what a request cost is unknown.
"""


class UnknownHosted(ValueError):
    """genai-prices knows no such model; says which."""


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model in genai-prices."""

    provider: Provider
    model: ModelInfo

    @property
    def name(self) -> str:
        """What rows say that they were priced by."""
        return f"{PREFIX}{self.provider.id}/{self.model.id}"

    def tariffs_on(self, day: dt.date) -> DayTariffs:
        """Return the prices of a day (UTC), each with the microsecond of the day from which it holds."""
        changes = sorted({0, *(second for second in self._changes())})
        midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
        found: list[tuple[int, Tariff | None]] = []
        for second in changes:
            price = self.model.get_prices(midnight + dt.timedelta(seconds=second))
            held = _tariff(self.name, price)
            if not found or found[-1][1] != held:
                found.append((second * 1_000_000, held))
        return tuple(found)

    def _changes(self) -> Iterator[int]:
        from genai_prices.types import ModelPrice, TimeOfDateConstraint

        if isinstance(self.model.prices, ModelPrice):
            return
        for conditional in self.model.prices:
            if isinstance(conditional.constraint, TimeOfDateConstraint):
                for time in (conditional.constraint.start_time, conditional.constraint.end_time):
                    yield _second_of_day(time)


def hosted_provider(known_as: str) -> bool:
    """Tell whether genai-prices has a provider of that name."""
    return any(provider.id == known_as for provider in _snapshot().providers)


def hosted_model(reference: str) -> HostedModel:
    """Return the model that `provider/model` names, both as genai-prices knows them.

    Raises:
        UnknownHosted: there is none.
    """
    known_as, _, model = reference.partition("/")
    provider = next((one for one in _snapshot().providers if one.id == known_as), None)
    if provider is None:
        raise UnknownHosted(f"genai-prices knows no provider {known_as!r}; a model is written provider/model")
    found = provider.find_model(model, all_providers=_snapshot().providers) if model else None
    if found is None:
        raise UnknownHosted(f"genai-prices knows no model {model!r} of {known_as}")
    return HostedModel(provider, found)


def _snapshot() -> DataSnapshot:
    # Reading the data takes most of a second and 60 MB, which who has no hosted models should not pay.
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _tariff(name: str, price: ModelPrice) -> Tariff | None:
    """Return a published price as a tariff, or None where it is not for tokens or requests, or is not given."""
    amounts = {key: amount for key, amount in vars(price).items() if amount is not None}
    if not amounts.keys() & {"input_mtok", "requests_kcount"}:
        return None
    if any(not key.endswith(_TOKENS_OR_EXTRAS) for key in amounts):
        return None
    starts = {tier.start for amount in amounts.values() if not isinstance(amount, Decimal) for tier in amount.tiers}
    request = _at(amounts.get("requests_kcount"), 0)
    return exact_tariff(
        name,
        _per_million(amounts, 0),
        [(start, _per_million(amounts, start + 1)) for start in starts],
        per_request=(request or Decimal(0)) / 1000,
    )


def _per_million(amounts: Mapping[str, Decimal | TieredPrices], length: int) -> PerMillion:
    return PerMillion(
        input=_at(amounts.get("input_mtok"), length) or Decimal(0),
        output=_at(amounts.get("output_mtok"), length) or Decimal(0),
        cached=_at(amounts.get("cache_read_mtok"), length),
        creation=_at(amounts.get("cache_write_mtok"), length),
        reasoning=_at(amounts.get("output_reasoning_mtok"), length),
    )


def _at(amount: Decimal | TieredPrices | None, length: int) -> Decimal | None:
    """Return an amount for requests with so much input."""
    if amount is None or isinstance(amount, Decimal):
        return amount
    return next((tier.price for tier in reversed(amount.tiers) if length > tier.start), amount.base)


def _second_of_day(time: dt.time) -> int:
    aware = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    utc = dt.datetime.combine(dt.date(2000, 1, 2), aware).astimezone(dt.UTC)
    return utc.hour * 3600 + utc.minute * 60 + utc.second
