"""Prices as statements: whatever there is to say, said in statements that a server reads."""

from __future__ import annotations

import datetime as dt

from storage.price_sql import Piece, assignments
from storage.tariff import Rates, Tariff

MOST_BYTES = 200_000
TODAY = dt.date(2026, 6, 1)


def tariff(name: str, scale: int = 1) -> Tariff:
    return Tariff(name, scale, Rates(1, 2, 3, 4, 5), tiers=((200_000, Rates(2, 4, 6, 8, 10)),), per_microsecond=7)


def test_no_pieces_are_no_statements() -> None:
    assert assignments([]) == []


def test_models_of_one_price_share_a_condition() -> None:
    pieces = [Piece("triton", f"m{number}", 0, 9, tariff("p")) for number in range(5)]
    (one,) = assignments(pieces)
    assert one.bound == {"models0": [("triton", f"m{number}") for number in range(5)], "name0": "p"}


def test_prices_and_times_have_conditions_of_their_own() -> None:
    pieces = [
        Piece("triton", "m", 0, 9, tariff("p")),
        Piece("triton", "m", 9, 20, None),
        Piece("triton", "m", 20, 30, tariff("q", scale=1000)),
    ]
    (one,) = assignments(pieces)
    assert [one.bound[f"name{number}"] for number in range(3)] == ["p", "", "q"]
    assert ">= 9" in one.where
    assert "< 20" in one.where


def test_statements_stay_short_enough_and_say_everything_once() -> None:
    names = [f"{number:04}{'é' * 252}" for number in range(1_000)]
    pieces = [Piece("triton", name, 0, 9, tariff(f"p{number % 90}")) for number, name in enumerate(names)]
    made = assignments(pieces)
    said = [
        model for one in made for key, models in one.bound.items() if key.startswith("models") for _, model in models
    ]
    assert sorted(said) == sorted(names)
    for one in made:
        filled = {key: repr(value) for key, value in one.bound.items()}
        assert len((one.update(TODAY) % filled).encode()) < MOST_BYTES
        assert len((one.changes() % filled).encode()) < MOST_BYTES
