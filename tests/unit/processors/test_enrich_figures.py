"""Tokens, costs and latency figures of a batch: exact, and None where nothing is known."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import Truncation, text_message
from inferwatch.validity import MOST_TOKENS
from processors.enrich.figures import SUB_TOKENS_CLAMPED
from processors.enrich.latency import time_per_output_token
from processors.enrich.measurements import measurements_of
from processors.enrich.tokens import count_tokens
from tests.unit.processors.makers import enriched, event, row, rows

ASKED = (text_message("user", "x" * 9),)
MADE = (text_message("assistant", "x" * 4),)
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4, "reported")),
        ({"input_tokens": 3, "output_tokens": 4, "token_source": "counted"}, (3, 4, "counted")),
        ({"input_tokens": 0, "output_tokens": 0}, (0, 0, "reported")),
        ({"input_messages": ASKED, "output_messages": MADE}, (3, 1, "estimated")),
        ({"input_messages": ASKED, "output_messages": MADE, "output_tokens": 7}, (3, 7, "estimated")),
        ({"input_messages": ASKED, "output_messages": MADE, "status": "error"}, (None, None, "")),
        ({"status": "error", "output_tokens": 7, "token_source": "counted"}, (None, 7, "counted")),
        ({}, (None, None, "")),
        ({"input_tokens": 3}, (3, None, "reported")),
        ({"content_unavailable": True, "input_messages": ASKED}, (None, None, "")),
        (
            {"input_messages": ASKED, "truncated": Truncation(input_characters=400, output_characters=41)},
            (100, 11, "estimated"),
        ),
    ],
)
def test_a_row_says_how_many_tokens_and_who_says_so(
    fields: dict[str, Any], tokens: tuple[int | None, int | None, str]
) -> None:
    usual = event(input_tokens=1, output_tokens=2)
    _, found, _ = rows(enriched(usual, event(**fields), usual))
    assert (found["input_tokens"], found["output_tokens"], found["token_source"]) == tokens


COUNTS = st.none() | st.integers(0, 9) | st.sampled_from([MOST_TOKENS, MOST_TOKENS - 1])
SAID = st.fixed_dictionaries(
    dict.fromkeys(TOKENS, COUNTS),
    optional={
        "input_messages": st.just(ASKED),
        "output_messages": st.just(MADE),
        "status": st.sampled_from(["ok", "error", "cancelled"]),
        "token_source": st.sampled_from(["reported", "counted", "estimated"]),
        "content_unavailable": st.booleans(),
    },
)


@given(st.lists(SAID, max_size=5))
def test_parts_of_tokens_are_never_more_than_their_total_and_a_flag_says_where_they_were(
    said: list[dict[str, Any]],
) -> None:
    events = [event(**fields) for fields in said]
    found = rows(enriched(*events)) if events else []
    for one, stored in zip(events, found, strict=True):
        counted = count_tokens(one)
        given = None if counted.input is None else min(counted.input, MOST_TOKENS)
        made = None if counted.output is None else min(counted.output, MOST_TOKENS)
        read, creation, reasoning = one.cache_read_tokens, one.cache_creation_tokens, one.reasoning_tokens
        if given is not None:
            read = read if read is None else min(read, given)
            creation = creation if creation is None else min(creation, given - (read or 0))
        if made is not None:
            reasoning = reasoning if reasoning is None else min(reasoning, made)
        kept = (given, made, read, creation, reasoning)
        assert tuple(stored[name] for name in TOKENS) == kept
        assert stored["token_source"] == counted.source
        clamped = (one.cache_read_tokens, one.cache_creation_tokens, one.reasoning_tokens) != kept[2:]
        assert stored["flags"] == ([SUB_TOKENS_CLAMPED] if clamped else [])


@pytest.mark.parametrize(
    "fields",
    [
        {"cache_read_tokens": MOST_TOKENS, "cache_creation_tokens": MOST_TOKENS, "input_messages": ASKED},
        {"reasoning_tokens": MOST_TOKENS, "output_messages": MADE},
    ],
)
def test_an_estimate_of_more_than_a_column_holds_is_the_most_that_it_holds(fields: dict[str, Any]) -> None:
    found = row(event(**fields))
    assert MOST_TOKENS in (found["input_tokens"], found["output_tokens"])


def test_clamped_parts_are_what_is_charged_for() -> None:
    said = {"input_tokens": 1_000_000, "output_tokens": 0}
    assert row(event(**said, cache_read_tokens=10**9))["cost"] == row(event(**said, cache_read_tokens=10**6))["cost"]


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, "0"),
        ({"input_messages": ASKED, "output_messages": MADE}, "0"),
        ({"content_unavailable": True}, "0"),
        ({"input_tokens": 1_000_000}, "0.02"),
        ({"output_tokens": 1_000_000}, "0.06"),
        ({"input_tokens": 1_000_000, "output_tokens": 1_000_000}, "0.08"),
        ({"request_model": "other"}, None),
    ],
)
def test_a_failed_request_costs_what_it_is_known_to_have_used(fields: dict[str, Any], cost: str | None) -> None:
    batch = enriched(event(status="error", **fields))
    (found,) = rows(batch)
    assert found["cost"] == (None if cost is None else Decimal(cost))
    assert found["price"] == ("" if cost is None else "smollm2-self-hosted")
    assert measurements_of(batch, "t")[0].cost == (None if cost is None else float(cost))


@pytest.mark.parametrize("status", ["ok", "cancelled"])
def test_what_a_request_cost_that_did_not_fail_is_unknown_without_tokens(status: str) -> None:
    found = row(event(status=status))
    assert (found["input_tokens"], found["output_tokens"], found["token_source"]) == (None, None, "")
    assert (found["cost"], found["price"]) == (None, "")


def test_events_are_priced_by_the_model_that_answered() -> None:
    said = {"input_tokens": 1_000_000, "output_tokens": 0}
    other, own = event(response_model="other", **said), event(request_model="other", response_model="smollm2", **said)
    assert [found["cost"] for found in rows(enriched(other, own))] == [None, Decimal("0.02")]


LATENCIES = [
    (1.0, 0.5, 6, 0.1),
    (1.0, 0.5, 2, 0.5),
    (1.0, None, 6, None),
    (1.0, 0.5, None, None),
    (1.0, 0.5, 1, None),
    (1.0, 0.5, 0, None),
    (0.4, 0.5, 5, 0.0),
    (0.3, 0.1, 4, (0.3 - 0.1) / 3),
]


def test_time_per_output_token_counts_those_after_the_first() -> None:
    duration, first, tokens, expected = (np.array(each, dtype=np.float64) for each in zip(*LATENCIES, strict=True))
    found = time_per_output_token(duration, first, tokens)
    assert [None if np.isnan(each) else each for each in found.tolist()] == [each for *_, each in LATENCIES]
    assert found.shape == expected.shape


@pytest.mark.parametrize(("duration", "first", "tokens", "expected"), LATENCIES)
def test_a_row_and_a_measurement_have_the_time_per_output_token(
    duration: float, first: float | None, tokens: int | None, expected: float | None
) -> None:
    batch = enriched(event(duration=duration, time_to_first_token=first, output_tokens=tokens))
    assert rows(batch)[0]["time_per_output_token"] == expected
    assert measurements_of(batch, "t")[0].time_per_output_token == expected
