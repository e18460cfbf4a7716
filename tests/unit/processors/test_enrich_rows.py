"""Rows as columns hold, value for value, what the events say."""

from __future__ import annotations

import hashlib
import json
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferwatch import InferenceEvent, Message, Part, TensorSummary, Truncation, text_message
from inferwatch.truncation import sha256_of
from inferwatch.validity import MOST_TOKENS
from processors.enrich.figures import SUB_TOKENS_CLAMPED
from processors.enrich.pipeline import MOST_TEXT_CHARACTERS
from processors.enrich.rows import TEXT_CUT, decimals, flags_of, rows_of, uuids
from processors.records import Position
from tests.unit.processors.makers import NOW, enriched, event, pipeline, record, row, rows, source

# Letters only: what masking does to texts is tested elsewhere.
TEXTS = st.text("abcdé𝕏\u2028\n\"\\'<", max_size=6)
SECONDS = st.floats(0, 100)
COUNTS = st.integers(0, MOST_TOKENS)
MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["user", "assistant"]),
        parts=st.lists(
            st.builds(Part, type=st.just("text"), content=st.none() | TEXTS, arguments=st.none() | TEXTS), max_size=2
        ).map(tuple),
    ),
    max_size=2,
).map(tuple)
EVENTS = st.fixed_dictionaries(
    {
        "event_id": st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper()),
        "started_at": st.floats(NOW - 86_400, NOW - 100),
        "duration": SECONDS,
    },
    optional={
        **dict.fromkeys(("service", "team", "environment", "operation", "provider"), TEXTS),
        **dict.fromkeys(("trace_id", "span_id", "parent_span_id", "conversation_id", "response_id"), st.none() | TEXTS),
        **dict.fromkeys(("response_model", "model_version", "prompt_name", "prompt_version"), st.none() | TEXTS),
        **dict.fromkeys(("error_type", "error_message", "user"), st.none() | TEXTS),
        **dict.fromkeys(("time_to_first_token", "queue_time", "compute_time"), st.none() | SECONDS),
        **dict.fromkeys(("input_tokens", "output_tokens"), COUNTS),
        **dict.fromkeys(("stream", "content_unavailable"), st.booleans()),
        "source": st.sampled_from(["sdk", "sidecar-http", "otlp"]),
        "status": st.sampled_from(["ok", "error", "cancelled"]),
        "request_model": st.sampled_from(["smollm2", "other"]),
        "parameters": st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, max_size=3),
        "attributes": st.dictionaries(TEXTS, TEXTS, max_size=3),
        "finish_reasons": st.lists(TEXTS, max_size=3).map(tuple),
        "input_messages": MESSAGES,
        "output_messages": MESSAGES,
        "truncated": st.none()
        | st.builds(
            Truncation,
            input_characters=COUNTS,
            output_characters=COUNTS,
            input_sha256=st.sampled_from([None, "0a" * 32]),
            output_sha256=st.sampled_from([None, "f9" * 32]),
        ),
        "output_tensors": st.builds(
            TensorSummary, name=TEXTS, datatype=TEXTS, shape=st.tuples(st.integers(2, 2**40)), mean=st.none() | SECONDS
        ).map(lambda tensor: (tensor,)),
    },
).map(lambda fields: event(**fields))


def characters(messages: tuple[Message, ...]) -> int:
    return sum(len(part.content or part.arguments or "") for message in messages for part in message.parts)


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode() if value else ""


def expected(one: InferenceEvent) -> dict[str, Any]:
    """Return those columns of an event's row that follow from one or two of its fields."""
    told = one.truncated
    named = ("source", "service", "team", "operation", "provider", "request_model", "status", "stream", "duration")
    numbers = ("time_to_first_token", "queue_time", "compute_time", "content_unavailable", "input_tokens")
    optional = ("trace_id", "span_id", "parent_span_id", "conversation_id", "response_id", "model_version")
    texts = ("prompt_name", "prompt_version", "error_type", "error_message")
    tensors = {"input": one.input_tensors, "output": one.output_tensors}
    return {
        **{name: getattr(one, name) for name in (*named, *numbers)},
        **{name: getattr(one, name) or "" for name in (*optional, *texts)},
        "event_id": one.event_id.lower(),
        "environment": one.environment or "default",
        "model": one.response_model or one.request_model,
        "parameters": as_json(one.parameters),
        "input_messages": as_json(one.input_messages),
        "output_messages": as_json(one.output_messages),
        "tensors": as_json(tensors if one.input_tensors or one.output_tensors else None),
        "attributes": one.attributes,
        "finish_reasons": list(one.finish_reasons),
        "input_characters": told.input_characters if told else characters(one.input_messages),
        "output_characters": told.output_characters if told else characters(one.output_messages),
        "input_sha256": (told.input_sha256 or "") if told else "",
        "output_sha256": (told.output_sha256 or "") if told else "",
        "truncated": told is not None,
        "flags": [],
        "pii": [],
    }


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=5))
def test_each_row_says_what_its_event_said(events: list[InferenceEvent]) -> None:
    # Tokens that are not given are estimated, which has tests of its own.
    events = [msgspec.structs.replace(one, input_tokens=one.input_tokens or 0) for one in events]
    batch = pipeline().enrich([source(record(one, one).value, 7 * at) for at, one in enumerate(events)], NOW)
    found = rows(batch)
    twice = [one for one in events for _ in range(2)]
    assert [{name: found[at][name] for name in expected(one)} for at, one in enumerate(twice)] == list(
        map(expected, twice)
    )
    assert [(one["source_offset"], one["source_index"]) for one in found] == [
        (7 * at, line) for at in range(len(events)) for line in range(2)
    ]
    for one, stored in zip(twice, found, strict=True):
        assert stored["started_at"].timestamp() == pytest.approx(one.started_at, abs=1e-6)
        assert stored["started_at"].utcoffset().total_seconds() == 0
        assert len(stored["user"]) == (32 if one.user else 0)
    nano = [None if cost is None else Decimal(cost).scaleb(-9) for cost in batch.figures.cost]
    assert [one["cost"] for one in found] == nano
    assert [one["price"] for one in found] == batch.figures.price


def test_a_start_is_rounded_to_the_microsecond_as_python_does() -> None:
    starts = [NOW - 1.0000005, NOW - 0.9999996, NOW - 2.5e-7]
    columns = rows_of(enriched(*(event(started_at=start, duration=0.0) for start in starts)))
    assert columns["started_at"].cast(pa.int64()).to_pylist() == [round(start * 1e6) for start in starts]


@given(st.lists(st.uuids(), max_size=9), st.integers(0, 9))
@example([], 0)
@example([uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)], 1)
def test_uuids_are_their_bytes(ids: list[uuid.UUID], start: int) -> None:
    texts = [str(one) if number % 2 else str(one).upper() for number, one in enumerate(ids)]
    assert uuids(texts).to_pylist() == [one.bytes for one in ids]
    assert uuids(texts)[start:].to_pylist() == [one.bytes for one in ids[start:]]


@given(st.lists(st.none() | st.integers(-(10**18) + 1, 10**18 - 1), max_size=9), st.integers(0, 9))
@example([], 0)
@example([None, None], 1)
@example([-1, 0, 1, None, -(10**18) + 1, 10**18 - 1], 2)
def test_decimals_are_exact_negative_or_unknown(billionths: list[int | None], start: int) -> None:
    column = decimals(billionths)
    column.validate(full=True)
    exact = [None if one is None else Decimal(one).scaleb(-9) for one in billionths]
    assert column.to_pylist() == exact
    assert column[start:].to_pylist() == exact[start:]
    assert column.null_count == exact.count(None)


@settings(max_examples=40)
@given(st.lists(EVENTS, min_size=1, max_size=5), st.data())
def test_columns_are_sound_and_can_be_cut_anywhere(events: list[InferenceEvent], data: st.DataObject) -> None:
    columns = rows_of(enriched(*events))
    start = data.draw(st.integers(0, len(events)))
    end = data.draw(st.integers(start, len(events)))
    for column in columns.values():
        column.validate(full=True)
        assert column[start:end].to_pylist() == column.to_pylist()[start:end]
    assert {len(column) for column in columns.values()} == {len(events)}


def test_what_was_found_is_sorted_in_every_row_whatever_came_first() -> None:
    mail, card = "ann.smith@example.com", "4111 1111 1111 1111"
    said = (text_message("user", f"{mail} {card} {mail}"),)
    batch = enriched(event(error_message=mail, input_messages=said), event(), event(input_messages=said))
    of_input = [("CREDIT_CARD", "input", 1), ("EMAIL_ADDRESS", "input", 2)]
    assert [one["pii"] for one in rows(batch)] == [
        [of_input[0], ("EMAIL_ADDRESS", "error", 1), of_input[1]],
        [],
        of_input,
    ]


LONG = "word, " * 20_000


def test_text_that_is_cut_here_keeps_its_length_and_its_hash() -> None:
    said, answer = (text_message("system", "be kind"), text_message("user", LONG)), (text_message("assistant", "no"),)
    batch = enriched(event(), event(input_messages=said, output_messages=answer), event(output_messages=said))
    _, asked, answered = rows(batch)
    digest = hashlib.sha256(f"be kind\n{LONG}".encode()).hexdigest()
    assert digest == sha256_of(said)
    assert (asked["input_sha256"], asked["output_sha256"]) == (digest, "")
    assert (answered["input_sha256"], answered["output_sha256"]) == ("", digest)
    assert (asked["input_characters"], asked["output_characters"]) == (7 + len(LONG), 2)
    parts = [message["parts"][0]["content"] for message in json.loads(asked["input_messages"])]
    assert parts == ["be kind", LONG[:MOST_TEXT_CHARACTERS]]
    assert [(one["truncated"], one["flags"]) for one in rows(batch)] == [(False, []), *[(True, [TEXT_CUT])] * 2]


def test_what_a_tool_answers_is_cut_like_any_text() -> None:
    answer = Message(role="tool", parts=(Part(type="tool_call_response", id="a", response=LONG),))
    found = row(event(input_messages=(answer,)))
    assert json.loads(found["input_messages"])[0]["parts"][0]["response"] == LONG[:MOST_TEXT_CHARACTERS]
    assert (found["truncated"], found["flags"], found["input_characters"]) == (True, [TEXT_CUT], len(LONG))
    assert found["input_sha256"] == hashlib.sha256(LONG.encode()).hexdigest()


def test_many_parts_that_are_long_only_together_are_not_cut() -> None:
    half = "word, " * 8_000
    found = row(event(input_messages=(text_message("user", half), text_message("user", half))))
    assert (found["truncated"], found["flags"], found["input_sha256"]) == (False, [], "")
    assert found["input_characters"] == 2 * len(half)
    assert [len(one["parts"][0]["content"]) for one in json.loads(found["input_messages"])] == [len(half)] * 2


@pytest.mark.parametrize("extra", [0, 1])
def test_a_text_is_cut_from_its_first_character_too_many(extra: int) -> None:
    # Two bytes a character: it is characters that are counted.
    found = row(event(output_messages=(text_message("assistant", "é" * (MOST_TEXT_CHARACTERS + extra)),)))
    assert (found["truncated"], found["flags"]) == ((True, [TEXT_CUT]) if extra else (False, []))
    assert len(json.loads(found["output_messages"])[0]["parts"][0]["content"]) == MOST_TEXT_CHARACTERS
    assert found["output_characters"] == MOST_TEXT_CHARACTERS + extra


def test_text_that_was_cut_before_it_was_sent_keeps_what_its_sender_said() -> None:
    told = Truncation(input_characters=10**6, output_characters=5, input_sha256="ab" * 32)
    short, long = (text_message("user", "x"),), (text_message("user", LONG),)
    batch = enriched(event(truncated=told, input_messages=short), event(truncated=told, input_messages=long))
    for found, flags in zip(rows(batch), ([], [TEXT_CUT]), strict=True):
        assert (found["input_characters"], found["output_characters"], found["truncated"]) == (10**6, 5, True)
        # The hash is of all of the text, which is not known here.
        assert (found["input_sha256"], found["output_sha256"]) == ("ab" * 32, "")
        assert found["flags"] == flags


def test_an_event_can_have_more_than_one_flag() -> None:
    one = event(input_messages=(text_message("user", LONG),), output_tokens=1, reasoning_tokens=2)
    batch = enriched(event(), one)
    assert flags_of(batch) == [(), (TEXT_CUT, SUB_TOKENS_CLAMPED)]
    assert [found["flags"] for found in rows(batch)] == [[], [TEXT_CUT, SUB_TOKENS_CLAMPED]]


def test_positions_beyond_32_and_63_bits_are_kept() -> None:
    batch = pipeline().enrich([source(record(event()).value, 2**63 + 5, 2**32 - 1)], NOW)
    assert batch.decoded.position(0) == Position(2**32 - 1, 2**63 + 5, 0)
    assert rows_of(batch)["source_offset"].to_pylist() == [2**63 + 5]
    assert batch.partitions.tolist() == [2**32 - 1]


def test_no_time_is_null_and_never_a_number() -> None:
    found = row(event())
    unknown = ("time_to_first_token", "time_per_output_token", "queue_time", "compute_time", "cost", "input_tokens")
    assert [found[name] for name in unknown] == [None] * len(unknown)
    columns = rows_of(enriched(event(queue_time=0.0), event()))
    assert columns["queue_time"].to_pylist() == [0.0, None]
    assert not any(np.isnan(each) for each in columns["duration"].to_pylist())
