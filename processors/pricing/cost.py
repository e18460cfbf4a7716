"""What inferences cost, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

from processors.pricing.book import PriceBook
from processors.pricing.hosted import DayTariffs
from processors.pricing.match import DAY, Tariffs
from storage.tariff import MOST_NANO, Tariff

_MOST_DAYS: Final = 64
_MOST_MODELS: Final = 20_000


class Pricer:
    """Prices inferences with a book. Not for several threads at once."""

    def __init__(self, book: PriceBook) -> None:
        self.tariffs: Final = Tariffs(book)
        self._days: dict[int, dict[tuple[str, str], Tariff | _Changing | None]] = {}

    def costs(
        self,
        models: Sequence[str],
        providers: Sequence[str],
        started_at: Sequence[int],
        duration: Sequence[float],
        input_tokens: Sequence[int | None],
        output_tokens: Sequence[int | None],
        cached: Sequence[int | None],
        creation: Sequence[int | None],
        reasoning: Sequence[int | None],
        status: Sequence[str],
    ) -> tuple[list[int | None], list[str]]:
        """Return what each inference cost, in billionths of the currency, and the name of its price.

        An unknown cost is None, and its price "": there is no price, or a count that it depends on is not known.
        `started_at` is in Unix microseconds, as rows hold it, so that a row that is priced again later falls on the
        same day; `duration` is in seconds. Sub-counts are part of their totals, see `Tariff.nano`.

        Raises:
            ValueError: columns of different lengths.
        """
        costs: list[int | None] = []
        names: list[str] = []
        add_cost, add_name = costs.append, names.append
        begins = ends = 0
        table: dict[tuple[str, str], Tariff | _Changing | None] = {}
        for model, provider, at, seconds, given, made, read, written, thought, state in zip(
            models,
            providers,
            started_at,
            duration,
            input_tokens,
            output_tokens,
            cached,
            creation,
            reasoning,
            status,
            strict=True,
        ):
            if not begins <= at < ends:
                begins = at // DAY * DAY
                ends = begins + DAY
                table = self._day(at // DAY)
            key = (provider, model)
            try:
                tariff = table[key]
            except KeyError:
                tariff = self._learn(table, key, at // DAY)
            nano: int | None
            if tariff is None:
                nano = None
            elif tariff.plain and given is not None and made is not None and not (read or written or thought):
                # The usual case of `Tariff.nano`, without a call.
                rates = tariff.rates
                nano = given * rates.input + made * rates.output + tariff.per_request
                if nano > MOST_NANO:
                    nano = None
            else:
                if isinstance(tariff, _Changing):
                    tariff = tariff.at(at - begins)
                if tariff is None:
                    nano = None
                else:
                    microseconds = round(seconds * 1e6)
                    nano = tariff.nano(given, made, read, written, thought, microseconds, state == "error")
            add_cost(nano)
            add_name("" if nano is None or tariff is None else tariff.name)
        return costs, names

    def cost(
        self,
        model: str,
        at: float,
        input_tokens: int | None,
        output_tokens: int | None,
        cached_tokens: int | None = None,
        *,
        provider: str = "triton",
        duration: float = 0.0,
        creation_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        status: str = "ok",
    ) -> tuple[Decimal | None, str]:
        """Return the cost of one inference that began at Unix time `at`, and the name of its price, as `costs` does."""
        (nano,), (name,) = self.costs(
            *([model], [provider], [round(at * 1e6)], [duration], [input_tokens], [output_tokens]),
            *([cached_tokens], [creation_tokens], [reasoning_tokens], [status]),
        )
        return (None if nano is None else in_currency(nano)), name

    def _day(self, day: int) -> dict[tuple[str, str], Tariff | _Changing | None]:
        if day not in self._days:
            if len(self._days) >= _MOST_DAYS:
                self._days.clear()
            self._days[day] = {}
        return self._days[day]

    def _learn(
        self, table: dict[tuple[str, str], Tariff | _Changing | None], key: tuple[str, str], day: int
    ) -> Tariff | _Changing | None:
        if len(table) >= _MOST_MODELS:
            table.clear()
        held = self.tariffs.on(*key, day)
        table[key] = held[0][1] if len(held) == 1 else _Changing(held)
        return table[key]


class _Changing:
    """A price that changes in the course of a day."""

    plain: Literal[False] = False

    def __init__(self, held: DayTariffs) -> None:
        self._held = held

    def at(self, microsecond: int) -> Tariff | None:
        """Return what holds at a microsecond of the day."""
        return next(tariff for start, tariff in reversed(self._held) if start <= microsecond)


def in_currency(nano: int) -> Decimal:
    """Return billionths as an amount of the currency, exactly."""
    return Decimal(nano).scaleb(-9)
