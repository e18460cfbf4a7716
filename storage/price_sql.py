"""Prices as statements on table `inferences`: what would change, and the change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.tariff import Tariff

_MOST_BYTES: Final = 32_000
"""Of conditions and arithmetic in one assignment: they stand in a statement up to five times, and the server reads
statements of up to 256 KiB."""
_CHANGES: Final = (
    "day, count(), sum(toDecimal128(ifNull(old_cost, 0), 9)), sum(toDecimal128(ifNull(new_cost, 0), 9)),"
    " countIf(isNull(old_cost)), countIf(isNull(new_cost))"
)


def _differ(one: str, other: str) -> str:
    """A cost is never negative, so that -1 can stand for one that is not known."""
    return f"ifNull({one}, toDecimal64(-1, 9)) != ifNull({other}, toDecimal64(-1, 9))"


_CHANGED: Final = f"{_differ('old_cost', 'new_cost')} OR old_price != new_price"


@dataclass(frozen=True, slots=True)
class Piece:
    """What holds for a provider's model from `since` until before `until`, in Unix microseconds; None is no price."""

    provider: str
    model: str
    since: int
    until: int
    tariff: Tariff | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """New values of `cost` and `price` for some inferences.

    Attributes:
        where: which.
        cost: of type Nullable(Decimal(18, 9)).
        price: its price's name.
        bound: what takes the place of `%(…)s` in these three.
    """

    where: str
    cost: str
    price: str
    bound: dict[str, Any]

    def changes(self) -> str:
        """Return a SELECT of day of arrival, rows that change, costs before and after, and unknown ones likewise."""
        both = (
            f"SELECT toDate(ingested_at) AS day, cost AS old_cost, {self.cost} AS new_cost, price AS old_price,"  # noqa: S608 - of our own
            f" {self.price} AS new_price FROM inferences WHERE {self.where}"
        )
        return f"SELECT {_CHANGES} FROM ({both}) WHERE {_CHANGED} GROUP BY day ORDER BY day"  # noqa: S608 - likewise

    def update(self, day: dt.date) -> str:
        """Return the mutation of inferences that arrived on a day; what has these values already stays as it is."""
        return (
            f"ALTER TABLE inferences UPDATE cost = {self.cost}, price = {self.price} IN PARTITION '{day.isoformat()}'"
            f" WHERE {self.where} AND ({_differ('cost', self.cost)} OR price != {self.price})"
        )


def assignments(pieces: Iterable[Piece]) -> list[Assignment]:
    """Return assignments that together say what pieces say, few of them and none too long for a statement."""
    alike: dict[tuple[Tariff | None, int, int], list[Piece]] = {}
    for piece in pieces:
        alike.setdefault((piece.tariff, piece.since, piece.until), []).append(piece)
    made: list[Assignment] = []
    batch: list[list[Piece]] = []
    size = 0
    for group in alike.values():
        for part in _parts(group):
            length = _length(part)
            if batch and size + length > _MOST_BYTES:
                made.append(_assignment(batch))
                batch, size = [], 0
            batch.append(part)
            size += length
    return [*made, _assignment(batch)] if batch else made


def _parts(group: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Split pieces that differ only in their model."""
    part: list[Piece] = []
    for piece in group:
        if part and _length([*part, piece]) > _MOST_BYTES:
            yield part
            part = []
        part.append(piece)
    yield part


def _length(part: Sequence[Piece]) -> int:
    """Return about how long a condition and its arithmetic are."""
    tariff = part[0].tariff
    names = sum(2 * len(piece.provider.encode()) + 2 * len(piece.model.encode()) + 10 for piece in part)
    return names + 200 + (0 if tariff is None else len(tariff.sql()))


def _assignment(parts: Sequence[Sequence[Piece]]) -> Assignment:
    bound: dict[str, Any] = {}
    conditions, costs, names = [], [], []
    for number, part in enumerate(parts):
        first = part[0]
        bound[f"models{number}"] = [(piece.provider, piece.model) for piece in part]
        bound[f"name{number}"] = first.tariff.name if first.tariff else ""
        condition = (
            f"((provider, model) IN %(models{number})s AND toUnixTimestamp64Micro(started_at) >= {first.since}"
            f" AND toUnixTimestamp64Micro(started_at) < {first.until})"
        )
        conditions.append(condition)
        costs.append(f"{condition}, {first.tariff.sql() if first.tariff else 'NULL'}")
        names.append(f"{condition}, %(name{number})s")
    cost = f"CAST(multiIf({', '.join(costs)}, NULL), 'Nullable(Decimal(18, 9))')"
    price = f"if(isNull({cost}), '', multiIf({', '.join(names)}, ''))"
    return Assignment(f"({' OR '.join(conditions)})", cost, price, bound)
