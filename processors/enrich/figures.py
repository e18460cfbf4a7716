"""Steps 4 to 6: token counts, cost and latency figures of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from inferwatch.events import InferenceEvent
from inferwatch.validity import MOST_TOKENS
from processors.enrich.fields import Fields
from processors.enrich.latency import Floats, time_per_output_token
from processors.enrich.price import Pricer
from processors.enrich.tokens import count_tokens

Counts = Sequence[int | None]

SUB_TOKENS_CLAMPED: Final = "sub_tokens_clamped"
"""Flag: cached or reasoning tokens were said to be more than the total that they are part of."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What follows from the numbers of n events.

    Attributes:
        input_tokens, output_tokens: reported, or estimated where there is text; None where nobody knows.
        cache_read_tokens, cache_creation_tokens, reasoning_tokens: parts of those, never more than them.
        token_source: `reported`, `counted`, `estimated` or "".
        cost: billionths of a unit of currency, None where unknown.
        price: name of the price, "" where there is none.
        time_per_output_token: seconds, NaN where unknown.
        clamped: events whose parts of tokens were too many.
    """

    input_tokens: Counts
    output_tokens: Counts
    cache_read_tokens: Counts
    cache_creation_tokens: Counts
    reasoning_tokens: Counts
    token_source: list[str]
    cost: list[int | None]
    price: list[str]
    time_per_output_token: Floats
    clamped: frozenset[int]


def figures_of(
    events: Sequence[InferenceEvent],
    fields: Fields,
    models: Sequence[str],
    providers: Sequence[str],
    pricer: Pricer,
) -> Figures:
    """Return the figures of events. Prices are found by names as they are stored: history is priced again by those."""
    given, made = list(fields["input_tokens"]), list(fields["output_tokens"])
    source = [told or "reported" for told in fields["token_source"]]
    for at, (known, also) in enumerate(zip(given, made, strict=True)):
        if known is None or also is None:
            counted = count_tokens(events[at])
            # A sum of parts, each of 32 bits, may have more.
            given[at], made[at] = _of_32_bits(counted.input), _of_32_bits(counted.output)
            source[at] = counted.source
    clamped: set[int] = set()
    read = _at_most(fields["cache_read_tokens"], given, clamped)
    rest = given if read.count(None) == len(read) else _minus(given, read)
    creation = _at_most(fields["cache_creation_tokens"], rest, clamped)
    reasoning = _at_most(fields["reasoning_tokens"], made, clamped)
    cost, price = pricer.costs(
        models=models,
        providers=providers,
        started_at=fields.micros("started_at").tolist(),
        duration=fields["duration"],
        input_tokens=given,
        output_tokens=made,
        cached=read,
        creation=creation,
        reasoning=reasoning,
        status=fields["status"],
    )
    per_token = time_per_output_token(fields.floats("duration"), fields.floats("time_to_first_token"), _floats(made))
    return Figures(given, made, read, creation, reasoning, source, cost, price, per_token, frozenset(clamped))


def _of_32_bits(count: int | None) -> int | None:
    return None if count is None else min(count, MOST_TOKENS)


def _at_most(parts: Sequence[int | None], totals: Counts, clamped: set[int]) -> list[int | None]:
    kept = list(parts)
    if kept.count(None) == len(kept):
        return kept
    for at, (part, total) in enumerate(zip(parts, totals, strict=True)):
        if part is not None and total is not None and part > total:
            kept[at] = total
            clamped.add(at)
    return kept


def _minus(totals: Counts, parts: Counts) -> list[int | None]:
    return [None if total is None else total - (part or 0) for total, part in zip(totals, parts, strict=True)]


def _floats(values: Counts) -> Floats:
    return np.asarray(pa.array(values, pa.float64()).to_numpy(zero_copy_only=False))
