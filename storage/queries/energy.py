"""Energy of models, and what it costs, where servers tell how much their GPUs take.

The rule: what all GPUs of a server took in the interval of a sample is shared among the models that computed there in
it, by their time of computing (input, inference and output). What GPUs took while no request was computed is nobody's:
it is in the total and in no share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from storage.queries.reader import Reader
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import Where, of_model, select
from storage.queries.traffic import breakdown

JOULES_IN_KWH: Final = 3.6e6
ALL_KNOWN: Final = 0.999
"""Share of computing with known energy from which a figure per token is not made too small."""

_COMPUTE: Final = " + ".join(f"ifNull(t.compute_{part}_time, 0)" for part in ("input", "infer", "output"))
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
        known_share: of its time of computing, the share on servers that told; None where it did not compute.
        requests: requests that succeeded, as servers count them.
        mirrored: requests that were mirrored; tokens are of those alone.
        output_tokens: tokens generated; None where nobody counted any.
    """

    model: str
    joules: float | None
    known_share: float | None
    requests: int
    mirrored: int
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
        """Return an amount of this energy for each 1,000 output tokens.

        None where it is not known, tokens are not, or some servers did not tell what their GPUs took.
        """
        if amount is None or not self.output_tokens or self.known_share is None or self.known_share < ALL_KNOWN:
            return None
        return amount * 1_000 / self.output_tokens


@dataclass(frozen=True, slots=True)
class EnergyBill:
    """What all GPUs took in joules, None where no server tells; and the shares of models, the largest first."""

    total: float | None
    models: tuple[ModelEnergy, ...]

    @property
    def idle(self) -> float | None:
        """Joules that GPUs took while they computed nothing."""
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
    }
    figures = {
        "model": "t.model",
        "requests": "sum(t.requests)",
        "told": "sum(t.energy)",
        "joules": "sumIf(t.all_energy * t.compute / t.all_compute, t.all_compute > 0)",
        "compute": "sum(t.compute)",
        "known": "sumIf(t.compute, isNotNull(t.all_energy))",
    }
    inner = select(looks, "server_samples", where)
    rows = reader.rows(select(figures, f"({inner})", Where(), "GROUP BY model"), where.parameters)
    traffic = {group.name: group.traffic for group in breakdown(reader, range, "model", place)}
    shares = []
    for row in rows:
        if row["model"]:
            seen = traffic.get(row["model"])
            known_share = row["known"] / row["compute"] if row["compute"] else None
            joules = row["joules"] if known_share else None
            tokens = (seen.output_tokens or None) if seen else None
            mirrored = seen.requests if seen else 0
            shares.append(ModelEnergy(row["model"], joules, known_share, row["requests"], mirrored, tokens))
    shares.sort(key=lambda share: (-(share.joules or 0.0), share.model))
    return EnergyBill(next((row["told"] for row in rows if not row["model"]), None), tuple(shares))


def _times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other
