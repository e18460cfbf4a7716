"""How figures are made: of rows, and of parts that were counted before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from storage.queries.scope import Filters
from storage.queries.statement import Where, of_inferences, of_rollup, select
from storage.queries.tiles import Tile

LATENCIES: Final = ("duration", "time_to_first_token", "time_per_output_token")
SUMS: Final = (
    "requests",
    "errors",
    "cancelled",
    "input_tokens",
    "output_tokens",
    "cost",
    "requests_without_cost",
    "requests_with_pii",
)

_DIGEST: Final = "(0.5, 0.95, 0.99)"
"""Quantiles by t-digest: of parts as small as those of one minute it is the smallest and the fastest to merge."""

_SUMS_OF_ROWS: Final = {
    "requests": "count()",
    "errors": "countIf(t.status = 'error')",
    "cancelled": "countIf(t.status = 'cancelled')",
    "input_tokens": "sum(toUInt64(ifNull(t.input_tokens, 0)))",
    "output_tokens": "sum(toUInt64(ifNull(t.output_tokens, 0)))",
    "cost": "sum(toDecimal128(ifNull(t.cost, 0), 9))",
    "requests_without_cost": "countIf(isNull(t.cost))",
    "requests_with_pii": "countIf(notEmpty(t.pii))",
}
OF_ROWS: Final = {**_SUMS_OF_ROWS, **{name: f"quantilesTDigest{_DIGEST}(t.{name})" for name in LATENCIES}}
OF_PARTS: Final = {
    **{name: f"sum(t.{name})" for name in SUMS},
    **{name: f"quantilesTDigestMerge{_DIGEST}(t.{name})" for name in LATENCIES},
}
_PARTS_OF_ROWS: Final = {**_SUMS_OF_ROWS, **{name: f"quantilesTDigestState{_DIGEST}(t.{name})" for name in LATENCIES}}
# Word for word what the projections of `metrics_1h` hold (migration 0003), or the engine would not take them.
_PARTS_OF_ROLLUP: Final = {
    **{name: f"sum(t.{name})" for name in SUMS},
    **{name: f"quantilesTDigestMergeState{_DIGEST}(t.{name})" for name in LATENCIES},
}


def parts(tiles: Iterable[Tile], filters: Filters, group: str, by: str, where: Where) -> str:
    """Return a source of figures of each tile, by the expression `by` under the name `group` where that is not empty.

    Values of places are added to `where`.
    """
    found = []
    for number, tile in enumerate(tiles):
        named = {group: by.replace("{time}", tile.time)} if group else {}
        rest = f"GROUP BY {group}" if group else ""
        tag = f"_{number}"
        if tile.source == "inferences":
            conditions = of_inferences(tile.range, filters, tag)
            rows = select(named | _PARTS_OF_ROWS, "inferences", conditions, rest)
            again = {group: f"t.{group}"} if group else {}
            found.append(select(again | _PARTS_OF_ROLLUP, f"({rows})", None, rest))
        else:
            conditions = of_rollup(tile.time, tile.range, filters, tag=tag)
            found.append(select(named | _PARTS_OF_ROLLUP, tile.source, conditions, rest))
        where.bind(**conditions.parameters)
    return f"({' UNION ALL '.join(found)})"
