"""The price book: a YAML file that people edit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from processors.errors import InvalidPriceBook
from processors.pricing.hosted import UnknownHosted, hosted_model, hosted_provider

PACKAGED: Final = Path(__file__).parents[1] / "enrich" / "prices.yaml"

_HIGHEST: Final = Decimal(100_000)
_PLACES: Final = 12
_MOST_GPUS: Final = Decimal(10_000)
_MOST_AT_ONCE: Final = 100_000


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the price book. Amounts are per million tokens, per request, or per hour of one GPU.

    Attributes:
        name: what rows say that they were priced by.
        model: a shell pattern of the models it is for.
        provider: a shell pattern of the providers it is for.
        effective_from: the first day (UTC) on which it holds.
        cached_input_per_million_tokens: of input read from a cache; None is the price of other input.
        cache_creation_per_million_tokens: of input written to a cache; None is the price of other input.
        reasoning_per_million_tokens: of output that is reasoning; None is the price of other output.
        per_gpu_hour: of one GPU; a request is charged for the time it took.
        gpus: how many GPUs serve the model together; 0.25 is a quarter of one.
        concurrency: how many requests they serve at once on average, which share the price between them.
        hosted: instead of amounts, a published price: `provider/model` of genai-prices.
    """

    name: str
    model: str
    effective_from: dt.date
    provider: str = "*"
    input_per_million_tokens: Decimal = Decimal(0)
    cached_input_per_million_tokens: Decimal | None = None
    cache_creation_per_million_tokens: Decimal | None = None
    output_per_million_tokens: Decimal = Decimal(0)
    reasoning_per_million_tokens: Decimal | None = None
    per_request: Decimal = Decimal(0)
    per_gpu_hour: Decimal = Decimal(0)
    gpus: Decimal = Decimal(1)
    concurrency: int = 1
    hosted: str | None = None


class PriceBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices, in one currency.

    Attributes:
        hosted_prices: whether models of hosted providers that nothing here matches have their published price.
        hosted_providers: more providers, as events name them, and what genai-prices calls them.
    """

    currency: str
    prices: tuple[Price, ...]
    hosted_prices: bool | None = None
    hosted_providers: dict[str, str] = {}

    @property
    def uses_hosted_prices(self) -> bool:
        """Published prices are in US dollars, so unless a book says otherwise only such a book falls back to them."""
        return self.currency == "USD" if self.hosted_prices is None else self.hosted_prices

    def price_of(self, provider: str, model: str, day: dt.date) -> Price | None:
        """Return the price in force for a model on a day (UTC): of those that match, the latest that had begun."""
        begun = [
            price
            for price in self.prices
            if price.effective_from <= day and fnmatchcase(model, price.model) and fnmatchcase(provider, price.provider)
        ]
        return max(begun, key=lambda price: price.effective_from, default=None)


class _Given(msgspec.Struct):
    """Which fields of each price a file gives, whatever their values."""

    prices: list[dict[str, object]] = []


_AMOUNTS: Final = (
    "input_per_million_tokens",
    "cached_input_per_million_tokens",
    "cache_creation_per_million_tokens",
    "output_per_million_tokens",
    "reasoning_per_million_tokens",
    "per_request",
    "per_gpu_hour",
)


def load_price_book(path: Path | None = None) -> PriceBook:
    """Read a price book.

    Raises:
        InvalidPriceBook: not readable, or something in it does not fit; says where.
    """
    path = path or PACKAGED
    try:
        text = path.read_bytes()
        book = msgspec.yaml.decode(text, type=PriceBook)
        given = msgspec.yaml.decode(text, type=_Given)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidPriceBook(str(path), str(error)) from error
    wrong = next(_mistakes(book, given), None)
    if wrong is not None:
        raise InvalidPriceBook(str(path), wrong)
    return book


def _mistakes(book: PriceBook, given: _Given) -> Iterator[str]:
    if book.uses_hosted_prices and book.currency != "USD":
        yield f"hosted_prices: published prices are in USD, this book is in {book.currency}; set it to false"
    for name, known_as in book.hosted_providers.items():
        if not hosted_provider(known_as):
            yield f"hosted_providers: {name}: genai-prices knows no provider {known_as!r}"
    for price, fields in zip(book.prices, given.prices, strict=True):
        for wrong in _mistakes_of(price, [name for name in _AMOUNTS if fields.get(name) is not None]):
            yield f"price {price.name}: {wrong}"
        if price.hosted is not None and book.currency != "USD":
            yield f"price {price.name}: hosted: published prices are in USD, this book is in {book.currency}"


def _mistakes_of(price: Price, amounts: list[str]) -> Iterator[str]:
    if not price.name:
        yield "name is empty"
    for name in amounts:
        amount: Decimal = getattr(price, name)
        if not (amount.is_finite() and 0 <= amount <= _HIGHEST):
            yield f"{name} is not from 0 to {_HIGHEST}"
        elif -int(amount.as_tuple().exponent) > _PLACES:
            yield f"{name} has more than {_PLACES} decimal places"
    if price.hosted is None and not amounts:
        yield f"no amount is given, of {', '.join(_AMOUNTS)}; what costs nothing says `per_request: 0`"
    if price.hosted is not None:
        if amounts:
            yield f"hosted stands instead of amounts, not beside {amounts[0]}"
        try:
            hosted_model(price.hosted)
        except UnknownHosted as error:
            yield f"hosted: {error}"
    if not (price.gpus.is_finite() and 0 < price.gpus <= _MOST_GPUS) or -int(price.gpus.as_tuple().exponent) > _PLACES:
        yield f"gpus is not more than 0 and at most {_MOST_GPUS}"
    if not 1 <= price.concurrency <= _MOST_AT_ONCE:
        yield f"concurrency is not from 1 to {_MOST_AT_ONCE}"
    if not price.per_gpu_hour and (price.gpus != 1 or price.concurrency != 1):
        yield "gpus and concurrency say nothing without per_gpu_hour"
