"""From prices as people write them to a `Tariff`, whose numbers are whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from storage.tariff import Rates, Tariff


@dataclass(frozen=True, slots=True)
class PerMillion:
    """Prices of a million tokens. None is the price of such tokens that are not set apart: of input, or of output."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    creation: Decimal | None = None
    reasoning: Decimal | None = None

    def per_token(self) -> tuple[Fraction, ...]:
        """Return billionths per token, in the order of `Rates`."""
        given, made = self.input, self.output
        amounts = (
            given,
            given if self.cached is None else self.cached,
            given if self.creation is None else self.creation,
            made,
            made if self.reasoning is None else self.reasoning,
        )
        return tuple(Fraction(amount) * 1_000 for amount in amounts)


def exact_tariff(
    name: str,
    tokens: PerMillion,
    tiers: Sequence[tuple[int, PerMillion]] = (),
    per_request: Decimal = Decimal(0),
    per_second: Fraction = Fraction(0),
) -> Tariff:
    """Return a tariff in the coarsest unit in which each of its prices is a whole number.

    Args:
        name: what rows will say.
        tokens: prices of tokens.
        tiers: (start, prices): for requests with more input than start, for all of their tokens.
        per_request: price of a request, in the currency.
        per_second: price of a second of a request, in the currency.
    """
    by_start = sorted(tiers, key=lambda tier: tier[0], reverse=True)
    per_token = [tokens.per_token(), *(prices.per_token() for _, prices in by_start)]
    request, microsecond = Fraction(per_request) * 10**9, per_second * 1_000
    amounts = [request, microsecond, *(amount for prices in per_token for amount in prices)]
    scale = math.lcm(*(amount.denominator for amount in amounts))
    rates = [Rates(*(int(amount * scale) for amount in prices)) for prices in per_token]
    return Tariff(
        name=name,
        scale=scale,
        rates=rates[0],
        tiers=tuple((start, each) for (start, _), each in zip(by_start, rates[1:], strict=True)),
        per_request=int(request * scale),
        per_microsecond=int(microsecond * scale),
    )
