"""Energy of models, and what it costs, where servers tell how much their GPUs take.

The rule: what all GPUs of a server took in the interval of a sample is shared among the models that computed there in
it, by their time of computing (input, inference and output). What GPUs took in intervals in which nothing was computed
is nobody's: it is in the total and in no share. Energy by token is that of requests whose tokens are known: of the
energy of a model as large a share as these are of its requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from storage.queries.reader import Reader
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import Where, of_inferences, of_model, select

JOULES_IN_KWH: Final = 3.6e6
ALL_KNOWN: Final = 0.999
"""Share of computing with known energy from which a figure per token is not made too small."""

_COMPUTE: Final = " + ".join(f"ifNull(t.compute_{part}_time, 0)" for part in ("input", "infer", "output"))
_IS_SILENT: Final = "t.device NOT IN ('', 'cpu') AND isNull(t.energy)"
_ONE_LOOK: Final = "OVER (PARTITION BY t.environment, t.instance, t.at)"


@dataclass(frozen=True, slots=True)
class EnergyPrices:
    """What a kilowatt-hour costs in US dollars, and how many grams of CO2 it stands for; None: not known."""

    price_per_kwh: float | None = None
    grams_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class ModelEnergy:
    """The energy of one model.

    Attributes:
        joules: its share of what GPUs took; None where no server told.
        known_share: of its time of computing, the share in which every GPU of the server told; None where it did not
            compute.
        requests: requests that succeeded, as servers count them.
        counted: requests that succeeded, as mirrors count them, with their output tokens.
        output_tokens: tokens of those; None where nobody counted any.
    """

    model: str
    joules: float | None
    known_share: float | None
    requests: int
    counted: int
    output_tokens: int | None

    @property
    def kwh(self) -> float | None:
        """Kilowatt-hours."""
        return None if self.joules is None else self.joules / JOULES_IN_KWH

    def cost(self, prices: EnergyPrices) -> float | None:
        """Return US dollars; None where energy or price is not known."""
        return _times(self.kwh, prices.price_per_kwh)

    def grams(self, prices: EnergyPrices) -> float | None:
        """Return grams of CO2; None where energy or grams are not known."""
        return _times(self.kwh, prices.grams_per_kwh)

    def per_thousand_tokens(self, amount: float | None) -> float | None:
        """Return an amount of this energy for each 1,000 output tokens: the share of those whose tokens are known.

        None where it is not known, tokens are not, or some GPUs did not tell what they took.
        """
        if amount is None or not self.output_tokens or self.known_share is None or self.known_share < ALL_KNOWN:
            return None
        return amount * self.counted_share * 1_000 / self.output_tokens

    @property
    def counted_share(self) -> float:
        """Requests whose tokens are known among all, at most 1: mirrors may count at another moment than servers."""
        return min(1.0, self.counted / self.requests) if self.requests else 1.0


@dataclass(frozen=True, slots=True)
class EnergyBill:
    """What all GPUs took in joules, None where no server tells; and the shares of models, the largest first."""

    total: float | None
    models: tuple[ModelEnergy, ...]

    @property
    def idle(self) -> float | None:
        """Joules that GPUs took in intervals in which nothing was computed."""
        if self.total is None:
            return None
        return max(0.0, self.total - sum(model.joules or 0.0 for model in self.models))

    def of(self, model: str) -> ModelEnergy | None:
        """Return the share of a model; None where no server knows it."""
        return next((one for one in self.models if one.model == model), None)


def energy_bill(reader: Reader, range: TimeRange, filters: Filters = ANY) -> EnergyBill:
    """Return who took how much. Of the filters, environment applies: a share needs all models of a server."""
    place = Filters(environment=filters.environment)
    where = of_model(range, place)
    looks = {
        "model": "t.model",
        "requests": "t.requests",
        "energy": "t.energy",
        "compute": _COMPUTE,
        "all_compute": f"sum({_COMPUTE}) {_ONE_LOOK}",
        "all_energy": f"sum(t.energy) {_ONE_LOOK}",
        "silent": f"countIf({_IS_SILENT}) {_ONE_LOOK}",
    }
    figures = {
        "model": "t.model",
        "requests": "sum(t.requests)",
        "told": "sum(t.energy)",
        "joules": "sumIf(t.all_energy * t.compute / t.all_compute, t.all_compute > 0)",
        "compute": "sum(t.compute)",
        "shared": "sumIf(t.compute, isNotNull(t.all_energy))",
        "known": "sumIf(t.compute, isNotNull(t.all_energy) AND t.silent = 0)",
    }
    inner = select(looks, "server_samples", where)
    rows = reader.rows(select(figures, f"({inner})", Where(), "GROUP BY model"), where.parameters)
    tokens = _tokens(reader, range, place)
    shares = []
    for row in rows:
        if row["model"]:
            known_share = row["known"] / row["compute"] if row["compute"] else None
            joules = row["joules"] if row["shared"] else None
            counted, output_tokens = tokens.get(row["model"], (0, 0))
            shares.append(
                ModelEnergy(row["model"], joules, known_share, row["requests"], counted, output_tokens or None)
            )
    shares.sort(key=lambda share: (-(share.joules or 0.0), share.model))
    return EnergyBill(next((row["told"] for row in rows if not row["model"]), None), tuple(shares))


def _tokens(reader: Reader, range: TimeRange, place: Filters) -> dict[str, tuple[int, int]]:
    """Return by model how many requests succeeded and have output tokens, and how many tokens those are."""
    where = of_inferences(range, place).add("t.status = 'ok'").add("isNotNull(t.output_tokens)")
    figures = {"model": "t.model", "counted": "count()", "tokens": "sum(toUInt64(assumeNotNull(t.output_tokens)))"}
    rows = reader.rows(select(figures, "inferences", where, "GROUP BY model"), where.parameters)
    return {row["model"]: (row["counted"], row["tokens"]) for row in rows}


def _times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other
