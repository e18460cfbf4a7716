"""Step 4: what an inference cost. Decimal throughout; a model without a price has no cost, which is not 0."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from processors.errors import InvalidPriceBook

_NANO: Final = Decimal("0.000000001")
_MILLION: Final = Decimal(1_000_000)
_HIGHEST: Final = Decimal(100_000)
_AMOUNTS: Final = (
    *("input_per_million_tokens", "cached_input_per_million_tokens", "output_per_million_tokens"),
    "per_request",
)
PACKAGED: Final = Path(__file__).with_name("prices.yaml")


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the price book. Amounts are per million tokens, or per request."""

    name: str
    model: str
    effective_from: dt.date
    input_per_million_tokens: Decimal = Decimal(0)
    cached_input_per_million_tokens: Decimal | None = None
    output_per_million_tokens: Decimal = Decimal(0)
    per_request: Decimal = Decimal(0)


class PriceBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices, in one currency."""

    currency: str
    prices: tuple[Price, ...]

    def price_of(self, model: str, day: dt.date) -> Price | None:
        """Return the price in force for a model on a day (UTC): of those that match, the latest that had begun."""
        begun = [p for p in self.prices if p.effective_from <= day and fnmatchcase(model, p.model)]
        return max(begun, key=lambda price: price.effective_from, default=None)


class Pricer:
    """Prices inferences with a book; remembers the price of each model and day."""

    def __init__(self, book: PriceBook) -> None:
        self._price_of = lru_cache(maxsize=4096)(book.price_of)

    def cost(
        self, model: str, at: float, input_tokens: int | None, output_tokens: int | None, cached_tokens: int | None
    ) -> tuple[Decimal | None, str]:
        """Return cost and name of the price, or None and "" where it is unknown: no price, or no count that it needs.

        `cached_tokens` are part of `input_tokens`, not beside them.
        """
        price = self._price_of(model, dt.datetime.fromtimestamp(at, dt.UTC).date())
        if price is None:
            return None, ""
        if (input_tokens is None and price.input_per_million_tokens) or (
            output_tokens is None and price.output_per_million_tokens
        ):
            return None, ""
        given, made, cached = input_tokens or 0, output_tokens or 0, min(cached_tokens or 0, input_tokens or 0)
        cached_price = price.cached_input_per_million_tokens
        if cached_price is None:
            cached_price = price.input_per_million_tokens
        per_million = (
            price.input_per_million_tokens * (given - cached)
            + cached_price * cached
            + price.output_per_million_tokens * made
        )
        return (per_million / _MILLION + price.per_request).quantize(_NANO), price.name


def load_price_book(path: Path | None = None) -> PriceBook:
    """Read a price book.

    Raises:
        InvalidPriceBook: not readable, or something in it does not fit; says where.
    """
    path = path or PACKAGED
    try:
        book = msgspec.yaml.decode(path.read_bytes(), type=PriceBook)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidPriceBook(str(path), str(error)) from error
    for price in book.prices:
        for name in _AMOUNTS:
            amount = getattr(price, name)
            if amount is not None and not (amount.is_finite() and 0 <= amount <= _HIGHEST):
                raise InvalidPriceBook(str(path), f"price {price.name}: {name} is not from 0 to {_HIGHEST}")
    return book
