"""Feedback is checked, masked and hashed before it is stored; what cannot be true is a dead letter with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import FeedbackEvent
from inferwatch.validity import Bounds, feedback_invalid, in_words
from inferwatch.wire import encode_event
from processors.enrich.decode import MOST_EVENTS, DeadLetter
from processors.enrich.mask import keyed_hash
from processors.feedback.rows import MOST_CHARACTERS, Given, read, rows_of
from processors.records import Position
from tests.unit.processors.makers import NOW, SCANNER, feedback, source

EMAIL = "ann.smith@example.com"
BOUNDS = (NOW, 30.0, 300.0)
EVENT_ID = "0190a6e5-7b6c-7000-8000-00000000000a"


def row(one: FeedbackEvent, secret: bytes = b"s3cret") -> dict[str, Any]:
    columns = rows_of([(Position(0, 3, 4), one)], SCANNER, secret)
    assert {len(values) for values in columns.values()} == {1}
    return {name: values[0] for name, values in columns.items()}


def test_a_row_says_what_was_given() -> None:
    one = feedback(feedback_id="f1", at=NOW - 1.0000005, event_id=EVENT_ID, score=-0.5, label="wrong", comment="no.")
    assert row(one) == {
        "feedback_id": "f1",
        "source_offset": 3,
        "source_index": 4,
        "at": round((NOW - 1.0000005) * 1e6),
        "event_id": EVENT_ID,
        "response_id": "",
        "score": -0.5,
        "label": "wrong",
        "comment": "no.",
        "who": "",
    }


def test_what_was_not_given_is_null_or_empty() -> None:
    found = row(feedback(event_id=None, response_id="chatcmpl-1"))
    assert (found["event_id"], found["response_id"], found["score"]) == (None, "chatcmpl-1", None)
    assert (found["label"], found["comment"], found["who"]) == ("", "", "")


def test_nothing_personal_is_stored_and_whoever_gave_it_is_a_keyed_hash() -> None:
    texts = dict.fromkeys(("feedback_id", "response_id", "label", "comment", "who"), EMAIL)
    found = row(feedback(**texts))
    assert EMAIL not in repr(found)
    assert [found[name] for name in ("feedback_id", "response_id", "label", "comment")] == ["<EMAIL_ADDRESS>"] * 4
    assert found["who"] == keyed_hash(EMAIL, b"s3cret") != row(feedback(**texts), b"other")["who"]


def test_every_field_that_can_hold_text_is_tried() -> None:
    texts = {name for name, kind in FeedbackEvent.__annotations__.items() if "str" in str(kind)}
    assert texts == {"feedback_id", "event_id", "response_id", "label", "comment", "who"}


def test_a_comment_is_masked_before_it_is_cut() -> None:
    start = "x" * (MOST_CHARACTERS - 8)
    comment = row(feedback(comment=f"{start} {EMAIL} and more"))["comment"]
    assert comment == f"{start} <EMAIL_ADDRESS>"[:MOST_CHARACTERS]


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"feedback_id": ""}, "$.feedback_id: empty"),
    ({"feedback_id": "hunter2" * 50}, "$.feedback_id: more than 256 characters"),
    ({"at": NOW - 31 * 86_400}, "$.at: more than 30 days ago, or more than 300 seconds from now"),
    ({"at": NOW + 301}, "$.at: more than 30 days ago, or more than 300 seconds from now"),
    ({"at": 1e300}, "$.at: more than 30 days ago, or more than 300 seconds from now"),
    ({"at": float("nan")}, "$.at: more than 30 days ago, or more than 300 seconds from now"),
    ({"event_id": None}, "$.event_id: neither it nor response_id is set"),
    ({"event_id": None, "response_id": ""}, "$.event_id: neither it nor response_id is set"),
    ({"event_id": "hunter2"}, "$.event_id: not a UUID of 36 characters"),
    ({"event_id": ""}, "$.event_id: not a UUID of 36 characters"),
    ({"event_id": f"{{{EVENT_ID}}}"}, "$.event_id: not a UUID of 36 characters"),
    ({"score": float("inf")}, "$.score: not a number"),
    ({"response_id": "x" * 257}, "$.response_id: more than 256 characters"),
    ({"label": "é" * 257}, "$.label: more than 256 characters"),
]


@pytest.mark.parametrize(("fields", "reason"), INVALID, ids=[str(number) for number in range(len(INVALID))])
def test_feedback_that_cannot_be_true_is_refused(fields: dict[str, Any], reason: str) -> None:
    assert in_words(feedback_invalid(feedback(**fields), Bounds(*BOUNDS))) == reason
    assert "hunter2" not in reason


@pytest.mark.parametrize(
    "fields",
    [
        {"event_id": EVENT_ID.upper()},
        {"event_id": None, "response_id": "r"},
        {"at": NOW - 30 * 86_400},
        {"at": NOW + 300},
        {"score": -1e308},
        {"label": "é" * 256, "response_id": "x" * 256, "feedback_id": "x" * 256},
        {"comment": "x" * 10**6},
    ],
)
def test_feedback_at_the_edge_is_taken(fields: dict[str, Any]) -> None:
    assert in_words(feedback_invalid(feedback(**fields), Bounds(*BOUNDS))) is None


def test_a_bad_line_leaves_its_neighbours_alone() -> None:
    first, false, last = feedback(), feedback(score=1, at=0.0), feedback()
    lines = [encode_event(first), b'{"who": "hunter2"}', b"", encode_event(false), b"junk", encode_event(last)]
    good, dead = read([source(b"\n".join(lines), 5, 2), source(b" \n", 6, 2), source(None, 7, 2)], *BOUNDS)
    assert good == [(Position(2, 5, 0), first), (Position(2, 5, 5), last)]
    assert dead == [
        DeadLetter(Position(2, 5, 1), "Object missing required field `feedback_id`", lines[1]),
        DeadLetter(Position(2, 5, 3), "$.at: more than 30 days ago, or more than 300 seconds from now", lines[3]),
        DeadLetter(Position(2, 5, 4), "not JSON: DecodeError", b"junk"),
        DeadLetter(Position(2, 6, 0), "empty record", b" \n"),
        DeadLetter(Position(2, 7, 0), "empty record", b""),
    ]


def test_a_record_of_too_many_lines_is_refused_as_a_whole() -> None:
    line = encode_event(feedback())
    good, dead = read([source(b"\n".join([line] * MOST_EVENTS), 0), source(b"\n" * MOST_EVENTS + line, 1)], *BOUNDS)
    assert len(good) == MOST_EVENTS
    assert [letter.reason for letter in dead] == [f"more than {MOST_EVENTS} events in one record"]


@given(st.lists(st.binary(max_size=30) | st.just(encode_event(feedback())), max_size=4))
def test_no_bytes_stop_it_and_each_line_is_one_or_the_other(lines: list[bytes]) -> None:
    value = b"\n".join(lines)
    good, dead = read([source(value)], *BOUNDS)
    places = sorted(position for position, _ in good) + sorted(letter.position for letter in dead)
    assert len(set(places)) == len(places) == max(1, sum(bool(line.strip()) for line in value.split(b"\n")))


def test_a_later_schema_is_a_dead_letter() -> None:
    told = json.loads(encode_event(feedback())) | {"schema_version": 2}
    good, dead = read([source(json.dumps(told).encode())], *BOUNDS)
    assert good == []
    assert dead[0].reason.startswith("schema_version 2 is newer")


def test_nothing_given_is_no_row() -> None:
    nothing: list[Given] = []
    assert {len(values) for values in rows_of(nothing, SCANNER, b"").values()} == {0}
