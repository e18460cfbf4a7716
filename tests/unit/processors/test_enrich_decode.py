"""Whatever is not an event that can be true becomes a dead letter, with a reason that does not quote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import InferenceEvent, Truncation, text_message
from inferwatch.errors import EventError
from inferwatch.validity import MOST_TOKENS
from inferwatch.wire import decode_inference, encode_event, split_record
from processors.enrich import decode as decode_module
from processors.enrich.decode import MOST_EVENTS, DeadLetter, Decoded, SourceRecord, decode
from processors.enrich.validate import invalid_because
from processors.records import Position
from tests.unit.processors.makers import NOW, event, pipeline, record


def source(value: bytes | None, offset: int = 5) -> SourceRecord:
    return SourceRecord(2, offset, value)


def placed(outcome: Decoded) -> list[tuple[Position, InferenceEvent]]:
    """Return the good events with where they stood."""
    return [(outcome.position(place), one) for place, one in enumerate(outcome.events)]


def test_a_bad_line_leaves_its_neighbours_alone() -> None:
    good, other = event(), event()
    value = record(good, b'{"secret": "hunter2"}', b"", other).value
    assert value is not None
    outcome = decode([source(value)])
    assert placed(outcome) == [(Position(2, 5, 0), good), (Position(2, 5, 3), other)]
    assert list(outcome.lines([0, 1])) == [value.split(b"\n")[0], value.split(b"\n")[3]]
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
    assert batch.events == []
    assert {(letter.position.partition, letter.position.offset) for letter in batch.dead} <= {(2, 5)}


GOOD = event(attributes={"a": "}\n{"}, parameters={"b": [{}, {}]}, input_messages=(text_message("user", "}\n{"),))
LINE = encode_event(GOOD)
PIECES = (
    *[LINE] * 3,
    encode_event(event(service="\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}\u2028")),
    json.dumps(json.loads(LINE), indent=1).encode(),
    LINE.replace(b',"', b',\n"', 1),
    LINE[:9],
    LINE[9:],
    LINE[:-1] + b',"schema_version":2}',
    LINE[:-1] + b',"service":"\xff"}',
    LINE[:-1] + b',"service":"\\ud800"}',
    LINE[:-1] + b',"unknown":"\xff"}',
    LINE[:-1] + b',"input_tokens":"hunter2"}',
    LINE[:-1] + b',"input_tokens":1' + b"0" * 5_000 + b"}",
    LINE[:-1] + b',"duration":1e999}',
    LINE[:-1] + b',"duration":NaN}',
    LINE[:-1] + b',"parameters":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
    *(b"{}", b"[]", b"null", b"}", b"{", b"\xff", b"\x00", b"\xef\xbb\xbf"),
)
BETWEEN = (*[b"\n"] * 5, b"\r\n", b"\n\n", b"\n \n", b"", b" ", b"\r", b",")


def line_by_line(records: Sequence[SourceRecord]) -> tuple[list[tuple[Position, InferenceEvent]], list[DeadLetter]]:
    """What decoding is to give, by the plainest means."""
    good: list[tuple[Position, InferenceEvent]] = []
    dead: list[DeadLetter] = []
    for one in records:
        lines = list(split_record(one.value or b""))
        if not lines:
            dead.append(DeadLetter(Position(one.partition, one.offset, 0), "empty record", one.value or b""))
        for index, line in lines:
            position = Position(one.partition, one.offset, index)
            try:
                good.append((position, decode_inference(line)))
            except EventError as error:
                dead.append(DeadLetter(position, error.reason, line))
    return good, dead


VALUES = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(BETWEEN)), max_size=6).map(
    lambda pairs: b"".join(part for pair in pairs for part in pair)
)


@given(st.lists(VALUES | st.lists(st.just(LINE), min_size=1, max_size=3).map(b"\n".join), max_size=4))
def test_a_record_at_once_is_what_it_is_line_by_line(values: list[bytes]) -> None:
    records = [source(value, offset) for offset, value in enumerate(values)]
    outcome = decode(records)
    good, dead = line_by_line(records)
    assert (placed(outcome), outcome.dead) == (good, dead)
    lines = [(values[position.offset].split(b"\n")[position.index]) for position, _ in good]
    assert list(outcome.lines(range(len(good)))) == lines


@pytest.mark.parametrize(
    "value",
    [
        LINE + LINE + b"\n",
        b"\n" + LINE + b" " + LINE,
        LINE + b"\n\n" + LINE + LINE,
        LINE.replace(b',"', b',\n"', 1) + LINE,
        LINE + b"\r" + LINE + b"\r\n",
    ],
)
def test_as_many_events_as_lines_are_not_taken_for_one_on_each(value: bytes) -> None:
    assert (placed(decode([source(value)])), decode([source(value)]).dead) == line_by_line([source(value)])


def test_some_of_the_events_keep_their_places() -> None:
    events = [event() for _ in range(4)]
    outcome = decode([source(record(*events[:2]).value, 5), source(b"x", 6), source(record(b"", *events[2:]).value, 7)])
    rest = outcome.only(np.array([False, True, False, True]))
    assert placed(rest) == [(Position(2, 5, 1), events[1]), (Position(2, 7, 2), events[3])]
    assert rest.dead == outcome.dead
    assert list(rest.lines([0, 1])) == [encode_event(events[1]), encode_event(events[3])]


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
    ({"truncated": Truncation(input_sha256="hunter2")}, "$.truncated.input_sha256: not a SHA-256 in hexadecimal"),
    (
        {"truncated": Truncation(output_sha256="0" * 64 + "\n")},
        "$.truncated.output_sha256: not a SHA-256 in hexadecimal",
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
        {"truncated": Truncation(input_sha256="0aB" + "9" * 61, output_characters=MOST_TOKENS)},
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
    assert [batch.decoded.position(place).index for place in range(batch.size)] == [0, 2]
    (letter,) = batch.dead
    assert (letter.position, letter.value) == (Position(2, 5, 1), value.split(b"\n")[1])


class Counting(bytes):
    """Bytes that count how often they are cut into lines."""

    cuts = 0

    def split(self, *arguments: Any, **named: Any) -> list[bytes]:
        self.cuts += 1
        return super().split(*arguments, **named)


@pytest.mark.parametrize(
    ("line", "cuts"), [(encode_event(event(duration=-1.0)), 1), (b"junk", 1), (LINE, 0)], ids=["false", "junk", "true"]
)
def test_a_record_is_not_cut_into_lines_for_each_invalid_event_and_not_at_all_without_one(
    line: bytes, cuts: int
) -> None:
    value = Counting(b"\n".join([line] * 100))
    batch = pipeline().enrich([source(value)], NOW)
    assert len(batch.dead) == 100 * cuts
    assert value.cuts == cuts


@pytest.mark.parametrize("depth", [50, 400, 800, 5_000])
def test_deep_nesting_is_a_row_or_a_dead_letter_never_a_crash(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    line = json.dumps({"event_id": event().event_id, "started_at": NOW, "duration": 0, "source": "http"}).encode()
    batch = pipeline().enrich([source(line[:-1] + b',"request_model":"m","parameters":{"a":' + nested + b"}}")], NOW)
    assert batch.size + len(batch.dead) == 1
    assert [letter.reason for letter in batch.dead] in ([], ["nested too deeply"])


@pytest.mark.parametrize("depth", [50, 400, 800, 5_000])
@pytest.mark.parametrize("where", ["parameters", "arguments"])
def test_what_is_nested_too_deeply_leaves_its_neighbours_alone(depth: int, where: str) -> None:
    nested = b"[" * depth + b'"ann.smith@example.com"' + b"]" * depth
    part = b'"input_messages":[{"role":"user","parts":[{"type":"tool_call","arguments":%s}]}]' % nested
    field = part if where == "arguments" else b'"parameters":{"a":%s}' % nested
    deep = encode_event(event())[:-1] + b"," + field + b"}"
    before, after = event(error_message="ann.smith@example.com"), event(service="ann.smith@example.com")
    batch = pipeline().enrich([source(b"\n".join([encode_event(before), deep, encode_event(after)]))], NOW)
    ids = [one.event_id for one in batch.events]
    assert (ids[0], ids[-1], len(ids) + len(batch.dead)) == (before.event_id, after.event_id, 3)
    assert [(letter.position.index, letter.value) for letter in batch.dead] == [(1, deep)][: len(batch.dead)]
    assert batch.masked.hits[0] == {("EMAIL_ADDRESS", "error"): 1}
    assert batch.masked.hits[batch.size - 1] == {("EMAIL_ADDRESS", "identity"): 1}
