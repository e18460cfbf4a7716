"""A price as whole numbers, and what an inference costs by it: once in Python, once in SQL, always to the same digit.

Money is never a float here. A cost is a whole number of billionths of the currency, which is what the column
`inferences.cost` holds. A price per token is often less than a billionth and a price per GPU-hour is often no finite
decimal per microsecond, so a tariff counts in a finer unit of its own, `scale` of which are a billionth: chosen such
that every price in it is a whole number of units. A cost is therefore exact until it is rounded, once, half to even.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from typing import Final

MOST_NANO: Final = 10**18 - 1
"""The highest cost that `Decimal(18, 9)` holds, in billionths; what comes to more cannot be true and is unknown."""

_MOST_TOKENS: Final = 2**32 - 1
_MOST_MICROSECONDS: Final = 2**53
_WHOLE_NUMBERS: Final = ((64, "toInt64"), (128, "toInt128"), (256, "toInt256"))
_AS_COST: Final = (
    f"if(n > {MOST_NANO}, NULL, toDecimal64(toDecimal128(least(n, toInt256('{MOST_NANO}')), 9) / 1000000000, 9))"
)


@dataclass(frozen=True, slots=True)
class Rates:
    """Units for one token: of input that was neither read from a cache nor written to it, and so on.

    `cached`, `creation` and `reasoning` are the whole price of such a token, not an addition to `input` and `output`.
    """

    input: int
    cached: int
    creation: int
    output: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """One price, ready to be applied.

    Attributes:
        name: what the row will say that it was priced by.
        scale: how many units are a billionth of the currency.
        rates: units per token.
        tiers: (start, rates), highest start first: the first whose start is less than the input holds for every token.
        per_request: units.
        per_microsecond: units for each microsecond that the request took.
    """

    name: str
    scale: int
    rates: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()
    per_request: int = 0
    per_microsecond: int = 0
    needs_input: bool = field(init=False)
    needs_output: bool = field(init=False)
    plain: bool = field(init=False)
    """Only prices per token and request, the same for any length, all whole billionths: priced without this class."""

    def __post_init__(self) -> None:
        all_rates = [self.rates, *(rates for _, rates in self.tiers)]
        of_input = any(rates.input or rates.cached or rates.creation for rates in all_rates)
        # Fields of a frozen class that follow from the others.
        object.__setattr__(self, "needs_input", of_input or bool(self.tiers))
        object.__setattr__(self, "needs_output", any(rates.output or rates.reasoning for rates in all_rates))
        object.__setattr__(self, "plain", self.scale == 1 and not self.tiers and not self.per_microsecond)

    def nano(
        self,
        given: int | None,
        made: int | None,
        cached: int | None,
        creation: int | None,
        reasoning: int | None,
        microseconds: int,
        failed: bool,
    ) -> int | None:
        """Return what one inference cost in billionths, or None where a count that it depends on is unknown.

        Args:
            given: input tokens, those of the cache included. A failed request is not charged for tokens that it is not
                known to have used.
            made: output tokens, reasoning included; unknown as `given`.
            cached: of the input, read from a cache; at most the input counts. None is as 0, here and below.
            creation: of the input, written to a cache; at most what the cached ones leave counts.
            reasoning: of the output; at most the output counts.
            microseconds: how long it took.
            failed: whether it did.
        """
        if given is None:
            if self.needs_input and not failed:
                return None
            given = 0
        if made is None:
            if self.needs_output and not failed:
                return None
            made = 0
        rates = self.rates
        for start, higher in self.tiers:
            if given > start:
                rates = higher
                break
        units = given * rates.input + made * rates.output + self.per_request + microseconds * self.per_microsecond
        if cached:
            cached = min(cached, given)
            given -= cached
            units += cached * (rates.cached - rates.input)
        if creation:
            units += min(creation, given) * (rates.creation - rates.input)
        if reasoning:
            units += min(reasoning, made) * (rates.reasoning - rates.output)
        nano = units if self.scale == 1 else rounded(units, self.scale)
        return nano if nano <= MOST_NANO else None

    def sql(self) -> str:
        """Return `nano` as an expression over the columns of `inferences`, of type Nullable(Decimal(18, 9)).

        It binds intermediate results by lambdas, because aliases would not be its own where it stands twice.
        """
        whole = self._whole_numbers()
        given, made = "ifNull(input_tokens, 0)", "ifNull(output_tokens, 0)"
        cached = f"least(ifNull(cache_read_tokens, 0), {given})"
        creation = f"least(ifNull(cache_creation_tokens, 0), {given} - {cached})"
        reasoning = f"least(ifNull(reasoning_tokens, 0), {made})"
        terms = [
            f"{whole}({count}) * {rate}"
            for count, rate in (
                (given, self._rate(whole, "input")),
                (cached, self._rate(whole, "cached", "input")),
                (creation, self._rate(whole, "creation", "input")),
                (made, self._rate(whole, "output")),
                (reasoning, self._rate(whole, "reasoning", "output")),
                ("round(duration * 1000000)", f"{whole}('{self.per_microsecond}')"),
            )
            if rate != f"{whole}('0')"
        ]
        units = " + ".join([f"{whole}('{self.per_request}')", *terms])
        cost = f"arrayMap(n -> {_AS_COST}, [{_rounded_in_sql(units, self.scale, whole)}])[1]"
        unknown = " OR ".join(f"isNull({count})" for count in self._needed_counts())
        return f"if(({unknown}) AND status != 'error', NULL, {cost})" if unknown else cost

    def _needed_counts(self) -> Iterator[str]:
        if self.needs_input:
            yield "input_tokens"
        if self.needs_output:
            yield "output_tokens"

    def _whole_numbers(self) -> str:
        """Return the narrowest whole numbers that nothing in `nano` can be too large for; narrow ones are faster."""
        dearest = max(
            amount for rates in (self.rates, *(rates for _, rates in self.tiers)) for amount in astuple(rates)
        )
        most = 5 * _MOST_TOKENS * dearest + self.per_request + _MOST_MICROSECONDS * self.per_microsecond
        return next(name for bits, name in _WHOLE_NUMBERS if 2 * max(most, self.scale) < 2 ** (bits - 1))

    def _rate(self, whole: str, name: str, less: str = "") -> str:
        """Return what one token of a kind adds to the cost, beyond what it costs as one of `less`."""

        def of(rates: Rates) -> str:
            amount: int = getattr(rates, name) - (getattr(rates, less) if less else 0)
            return f"{whole}('{amount}')"

        if len({of(self.rates), *(of(rates) for _, rates in self.tiers)}) == 1:
            return of(self.rates)
        cases = ", ".join(f"ifNull(input_tokens, 0) > {start}, {of(rates)}" for start, rates in self.tiers)
        return f"multiIf({cases}, {of(self.rates)})"


def rounded(units: int, scale: int) -> int:
    """Return units / scale, rounded half to even."""
    nano, rest = divmod(units, scale)
    if 2 * rest > scale or (2 * rest == scale and nano & 1):
        nano += 1
    return nano


def _rounded_in_sql(units: str, scale: int, whole: str) -> str:
    if scale == 1:
        return units
    unit = f"{whole}('{scale}')"
    quotient, twice = f"intDiv(u, {unit})", f"modulo(u, {unit}) * 2"
    up = f"{twice} > {unit} OR ({twice} = {unit} AND modulo({quotient}, 2) = 1)"
    return f"arrayMap(u -> {quotient} + {whole}({up}), [{units}])[1]"
