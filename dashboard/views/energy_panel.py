"""Energy of a model, its cost and its carbon, in all and for each 1,000 output tokens; or why that is not known."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import streamlit as st

from dashboard import formatting as fmt
from storage.queries import EnergyBill, EnergyPrices, ModelEnergy
from storage.queries.energy import ALL_KNOWN

NOT_REPORTED: Final = "not reported"
_RULE: Final = (
    "What the GPUs of a server take from one sample to the next is shared among the models that computed there, by "
    "their time of computing; an ensemble takes from its parts. What they take in an interval in which nothing is "
    "computed belongs to no model."
)


def draw(bill: EnergyBill, model: str, prices: EnergyPrices) -> None:
    """Draw the figures of a model."""
    st.markdown("**Energy**", help=_RULE)
    share = bill.of(model)
    if share is None or share.joules is None:
        st.caption(why_unknown(bill))
        return
    for place, (label, amount, by_token) in zip(st.columns(3), rows(share, prices), strict=True):
        place.metric(label, amount)
        place.caption(f"{by_token} per 1,000 output tokens")
    st.caption(" ".join(notes(bill, share, prices)))


def rows(share: ModelEnergy, prices: EnergyPrices) -> Iterator[tuple[str, str, str]]:
    """Yield each figure: its name, all of it, and for each 1,000 output tokens."""
    cost, grams = share.cost(prices), share.grams(prices)
    per = share.per_thousand_tokens
    yield "Energy", energy(share.joules), energy(per(share.joules))
    yield "Cost", dollars(cost), dollars(per(cost))
    yield "Carbon", carbon(grams), carbon(per(grams))


def notes(bill: EnergyBill, share: ModelEnergy, prices: EnergyPrices) -> Iterator[str]:
    """Yield what one must know to read the figures."""
    yield f"All GPUs took {energy(bill.total)}, {energy(bill.idle)} of it in intervals in which nothing was computed."
    if share.known_share is not None and share.known_share < ALL_KNOWN:
        told = fmt.share(share.known_share)
        yield f"All GPUs told their energy in {told} of its time of computing only, so there is none by token."
    if not share.output_tokens:
        yield "Nobody counted output tokens."
    elif share.counted_share < 1:
        known = f"{fmt.plural(share.counted, 'request')} of {fmt.count(share.requests)}"
        yield f"Tokens are known of {known}; by token, energy is as large a share of all of it."
    for amount, what, variable in (
        (prices.price_per_kwh, "cost", "INFERWATCH_PRICE_PER_KWH"),
        (prices.grams_per_kwh, "carbon", "INFERWATCH_GRAMS_PER_KWH"),
    ):
        if amount is None:
            yield f"{variable} is not set, so {what} is unknown."


def why_unknown(bill: EnergyBill) -> str:
    """Return why there is no figure at all."""
    if bill.total is None:
        return f"Energy, cost and carbon: {NOT_REPORTED}. No server tells what its GPUs take."
    return f"Energy, cost and carbon: {NOT_REPORTED} for this model's servers, or it computed nothing."


def energy(joules: float | None) -> str:
    """Return an amount of energy in the unit that suits it: J, Wh, kWh, MWh."""
    if joules is None:
        return fmt.UNKNOWN
    for size, unit in ((3.6e9, "MWh"), (3.6e6, "kWh"), (3.6e3, "Wh")):
        if joules >= size:
            return f"{_three(joules / size)} {unit}"
    return f"{_three(joules)} J"


def dollars(amount: float | None) -> str:
    """Return US dollars."""
    return fmt.money(None if amount is None else Decimal(str(amount)))


def carbon(grams: float | None) -> str:
    """Return grams or kilograms of CO2."""
    if grams is None:
        return fmt.UNKNOWN
    return f"{_three(grams / 1e3)} kg CO₂" if grams >= 1e3 else f"{_three(grams)} g CO₂"


def _three(amount: float) -> str:
    """Return three digits that count, and whole numbers from 100 on."""
    return f"{amount:,.0f}" if amount >= 99.95 else f"{amount:.3g}"
