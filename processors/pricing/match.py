"""Which tariff holds for a provider's model at a time: the book's, else the published one, else none."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Final

from processors.pricing.book import Price, PriceBook
from processors.pricing.exact import PerMillion, exact_tariff
from processors.pricing.hosted import PROVIDERS, DayTariffs, HostedModel, UnknownHosted, hosted_model
from storage.price_sql import Piece
from storage.tariff import Tariff

DAY: Final = 86_400_000_000
"""Microseconds."""

_EPOCH: Final = dt.date(1970, 1, 1)
_REMEMBERED: Final = 20_000
_NOTHING: Final[DayTariffs] = ((0, None),)


class Tariffs:
    """Tariffs by provider, model and time. What it looked up it remembers, up to a bound."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._providers = {**PROVIDERS, **book.hosted_providers} if book.uses_hosted_prices else {}
        self._hosted: dict[str, HostedModel | None] = {}
        self._found: dict[tuple[str, str, int], DayTariffs] = {}

    def on(self, provider: str, model: str, day: int) -> DayTariffs:
        """Return what holds on a day, which is given in days since 1970-01-01 (UTC)."""
        key = (provider, model, day)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[key] = self._look_up(provider, model, _EPOCH + dt.timedelta(days=day))
        return found

    def pieces(self, provider: str, model: str, since: int, until: int) -> list[Piece]:
        """Return what holds from `since` until before `until`, Unix microseconds, oldest first, without gaps."""
        pieces: list[Piece] = []
        for day in range(since // DAY, -(-until // DAY)):
            held = self.on(provider, model, day)
            ends = [start for start, _ in held[1:]] + [DAY]
            for (start, tariff), end in zip(held, ends, strict=True):
                begins, stops = max(since, day * DAY + start), min(until, day * DAY + end)
                if begins >= stops:
                    continue
                if pieces and pieces[-1].tariff == tariff:
                    begins = pieces.pop().since
                pieces.append(Piece(provider, model, begins, stops, tariff))
        return pieces

    def _look_up(self, provider: str, model: str, day: dt.date) -> DayTariffs:
        price = self._book.price_of(provider, model, day)
        if price is None:
            known_as = self._providers.get(provider)
            hosted = None if known_as is None else self._hosted_model(f"{known_as}/{model}")
        elif price.hosted is None:
            return ((0, tariff_of(price)),)
        else:
            hosted = self._hosted_model(price.hosted)
        return _NOTHING if hosted is None else hosted.tariffs_on(day)

    def _hosted_model(self, reference: str) -> HostedModel | None:
        if reference not in self._hosted:
            if len(self._hosted) >= _REMEMBERED:
                self._hosted.clear()
            try:
                self._hosted[reference] = hosted_model(reference)
            except UnknownHosted:
                self._hosted[reference] = None
        return self._hosted[reference]


def tariff_of(price: Price) -> Tariff:
    """Return a price of the book as a tariff."""
    return exact_tariff(
        price.name,
        PerMillion(
            input=price.input_per_million_tokens,
            output=price.output_per_million_tokens,
            cached=price.cached_input_per_million_tokens,
            creation=price.cache_creation_per_million_tokens,
            reasoning=price.reasoning_per_million_tokens,
        ),
        per_request=price.per_request,
        per_second=Fraction(price.per_gpu_hour) * Fraction(price.gpus) / (3_600 * price.concurrency),
    )
