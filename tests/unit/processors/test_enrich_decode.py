"""Whatever is not an event that can be true becomes a dead letter, with a reason that does not quote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import Truncation
from processors.enrich import decode as decode_module
from processors.enrich.decode import MOST_EVENTS, SourceRecord, decode
from processors.enrich.validate import MOST_TOKENS, invalid_because
from processors.records import Position
from tests.unit.processors.makers import NOW, event, pipeline, record


def source(value: bytes | None, offset: int = 5) -> SourceRecord:
    return SourceRecord(2, offset, value)


def test_a_bad_line_leaves_its_neighbours_alone() -> None:
    good, other = event(), event()
    value = record(good, b'{"secret": "hunter2"}', b"", other).value
    outcome = decode([source(value)])
    assert [(at, one) for at, one, _ in outcome.events] == [(Position(2, 5, 0), good), (Position(2, 5, 3), other)]
    (letter,) = outcome.dead
    assert (letter.position, letter.value) == (Position(2, 5, 1), b'{"secret": "hunter2"}')
    assert letter.reason == "Object missing required field `event_id`"


@pytest.mark.parametrize("value", [None, b"", b"  \n \n"])
def test_an_empty_record_is_a_dead_letter(value: bytes | None) -> None:
    outcome = decode([source(value)])
    assert [(letter.reason, letter.value) for letter in outcome.dead] == [("empty record", value or b"")]
    assert outcome.events == []


def test_a_record_of_too_many_events_is_refused_as_a_whole() -> None:
    outcome = decode([source(b"\n" * (MOST_EVENTS - 1) + b"x"), source(b"x\n" * MOST_EVENTS, 6)])
    assert [letter.reason for letter in outcome.dead] == [
        "not JSON: DecodeError",
        f"more than {decode_module.MOST_EVENTS} events in one record",
    ]


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_no_bytes_stop_the_pipeline(lines: list[bytes]) -> None:
    batch = pipeline().enrich([source(b"\n".join(lines))], NOW)
    assert batch.items == []
    assert {(letter.position.partition, letter.position.offset) for letter in batch.dead} <= {(2, 5)}


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"event_id": "hunter2"}, "$.event_id: not a UUID of 36 characters"),
    ({"event_id": "{0190a6e5-7b6c-7000-8000-000000000000}"}, "$.event_id: not a UUID of 36 characters"),
    ({"event_id": "urn:uuid:0190a6e5-7b6c-7000-8000-000000000000"}, "$.event_id: not a UUID of 36 characters"),
    ({"event_id": "0190a6e57b6c70008000000000000000"}, "$.event_id: not a UUID of 36 characters"),
    ({"event_id": "0190a6e5-7b6c-7000-8000-00000000000_"}, "$.event_id: not a UUID of 36 characters"),
    ({"started_at": NOW - 31 * 86_400}, "$.started_at: more than 30 days ago"),
    ({"started_at": -1e300}, "$.started_at: more than 30 days ago"),
    ({"started_at": NOW + 301}, "$.started_at: ends more than 300 seconds from now"),
    ({"duration": 400.0}, "$.started_at: ends more than 300 seconds from now"),
    ({"duration": -0.1}, "$.duration: negative or not a number"),
    ({"time_to_first_token": -1.0}, "$.time_to_first_token: negative, too long or not a number"),
    ({"queue_time": 1e308}, "$.queue_time: negative, too long or not a number"),
    ({"compute_time": float("inf")}, "$.compute_time: negative, too long or not a number"),
    ({"input_tokens": -1}, f"$.input_tokens: not between 0 and {MOST_TOKENS}"),
    ({"reasoning_tokens": 2**32}, f"$.reasoning_tokens: not between 0 and {MOST_TOKENS}"),
    ({"truncated": Truncation(input_characters=-5)}, f"$.truncated.input_characters: not between 0 and {MOST_TOKENS}"),
    (
        {"truncated": Truncation(output_characters=2**40)},
        f"$.truncated.output_characters: not between 0 and {MOST_TOKENS}",
    ),
    ({"attributes": {str(i): "" for i in range(257)}}, "$.attributes: more than 256"),
    ({"request_model": ""}, "$.request_model: neither it nor response_model is set"),
    ({"request_model": "hunter2" * 50}, "$.request_model: more than 256 characters"),
    ({"environment": "e" * 257}, "$.environment: more than 256 characters"),
    ({"embedding": (0.0, 1e7)}, "$.embedding: more than 8192 numbers, or one beyond 1e+06"),
    ({"embedding": (0.0,) * 8193}, "$.embedding: more than 8192 numbers, or one beyond 1e+06"),
]


@pytest.mark.parametrize(
    ("fields", "reason"), INVALID, ids=[f"{i}-{reason[:30]}" for i, (_, reason) in enumerate(INVALID)]
)
def test_an_event_that_cannot_be_true_is_refused(fields: dict[str, Any], reason: str) -> None:
    assert invalid_because(event(**fields), NOW, 30, 300) == reason


@pytest.mark.parametrize(
    "fields",
    [
        {"event_id": "0190A6E5-7B6C-7000-8000-00000000000A"},
        {"started_at": NOW - 30 * 86_400 + 1},
        {"started_at": NOW + 299},
        {"duration": 0.0},
        {"time_to_first_token": 0.0, "output_tokens": MOST_TOKENS},
        {"request_model": "", "response_model": "m"},
        {"request_model": "m" * 256},
        {"embedding": (-1e6, 1e6)},
    ],
)
def test_an_event_at_the_edge_is_taken(fields: dict[str, Any]) -> None:
    assert invalid_because(event(**fields), NOW, 30, 300) is None


def test_an_invalid_event_is_buried_with_its_own_line() -> None:
    bad = event(duration=-1.0)
    value = record(event(), bad, event()).value
    assert value is not None
    batch = pipeline().enrich([source(value)], NOW)
    assert [item.position.index for item in batch.items] == [0, 2]
    (letter,) = batch.dead
    assert (letter.position, letter.value) == (Position(2, 5, 1), value.split(b"\n")[1])


class Counting(bytes):
    """Bytes that count how often they are cut into lines."""

    cuts = 0

    def split(self, *arguments: Any, **named: Any) -> list[bytes]:
        self.cuts += 1
        return super().split(*arguments, **named)


def test_many_invalid_events_in_one_record_do_not_cut_it_again_for_each() -> None:
    value = Counting(record(*[event(duration=-1.0)] * 100).value or b"")
    assert len(pipeline().enrich([source(value)], NOW).dead) == 100
    assert value.cuts == 1


@pytest.mark.parametrize("depth", [50, 400, 800, 5_000])
def test_deep_nesting_is_a_row_or_a_dead_letter_never_a_crash(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    line = json.dumps({"event_id": event().event_id, "started_at": NOW, "duration": 0, "source": "http"}).encode()
    batch = pipeline().enrich([source(line[:-1] + b',"request_model":"m","parameters":{"a":' + nested + b"}}")], NOW)
    assert len(batch.items) + len(batch.dead) == 1
    assert [letter.reason for letter in batch.dead] in ([], ["nested too deeply"])
