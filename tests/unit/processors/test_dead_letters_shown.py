"""Dead letters on a screen: masked, harmless to a terminal, explained."""

from __future__ import annotations

import json
import time

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from processors.dead_letters import dead_letter
from processors.dead_letters.explain import hint
from processors.dead_letters.letter import Letter, LetterKey, Mark, mark_headers, read_message
from processors.dead_letters.shown import masked, unmasked
from processors.dead_letters.trial import fails_because
from processors.settings import EnrichSettings
from tests.unit.processors.makers import NOW, SCANNER, event, record

SECRET = "ada@example.org"


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps({"input_messages": [{"parts": [{"content": f"write to {SECRET}"}]}]}).encode(),
        json.dumps({SECRET: 1}).encode(),
        b'{"a": "ada\\u0040example.org"}',
        b'{"a": "ada\\u0040example.org',
        b'{"event_id": tr, "x": "ada@example.org"',
        b"\xff\xfe ada@example.org \x00",
        ("é" * 40 + SECRET).encode("utf-16"),
        b'"' + SECRET.encode() + b'"',
    ],
)
def test_personal_data_is_masked_whatever_a_payload_is(payload: bytes) -> None:
    shown = masked(payload, SCANNER, 4_000)
    assert "example.org" not in shown


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_value_that_the_end_of_what_is_shown_cuts_in_two_is_masked(cut: int) -> None:
    shown = masked(b"not json " * 3 + SECRET.encode() + b" and more" * 10, SCANNER, cut)
    assert "ada" not in shown
    assert len(shown) <= cut


def test_the_user_of_an_event_is_not_shown() -> None:
    assert "u-17" not in masked(b'{"user": "u-17", "a": 1}', SCANNER, 100)
    assert "u-17" not in masked(b'{"user": "u-17", "a": ', SCANNER, 100)
    assert "u-17" not in masked(b'{"user" :"u-17', SCANNER, 100)


def test_a_number_of_a_card_is_masked_where_it_is_a_number() -> None:
    assert "4111111111111111" not in masked(b'{"card": 4111111111111111}', SCANNER, 100)


@given(st.binary(max_size=200))
def test_nothing_that_a_terminal_would_obey_is_shown(payload: bytes) -> None:
    assert masked(payload, SCANNER, 500).isprintable()
    assert unmasked(payload, 500).isprintable()


def test_five_megabytes_are_shown_in_part_and_soon() -> None:
    payload = b'{"a": "' + b"x " * 2_600_000 + SECRET.encode() + b'"}'
    began = time.perf_counter()
    shown = masked(payload, SCANNER, 1_000)
    assert time.perf_counter() - began < 2
    assert len(shown) == 1_000


def test_deep_nesting_is_shown_like_any_text() -> None:
    assert masked(b"[" * 50_000, SCANNER, 10) == "[" * 10
    assert masked(b"[" * 900 + b"]" * 900, SCANNER, 10) == "[" * 10


def message(**headers: str) -> Message:
    pairs: list[tuple[str, str | bytes | None]] = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Message("d", 2, 40, b"k", b"payload", pairs, None, (1, 1_500))


def test_what_a_step_wrote_is_read_back() -> None:
    written = dead_letter(b"payload", "why", "t", 3, 7, 2, topic_id="abc")
    headers: list[tuple[str, str | bytes | None]] = list(written.headers)
    letter = read_message(Message("d", 2, 40, b"t", written.value, headers, None, (1, 1_500)))
    assert isinstance(letter, Letter)
    assert letter.key == LetterKey("t", 3, 7, 2, "abc")
    assert (letter.reason, letter.value, letter.size, letter.at) == ("why", b"payload", 7, 1.5)
    assert str(letter.key) == "t:3:7:2"


def test_a_whole_record_has_an_id_without_a_line() -> None:
    letter = read_message(message(reason="why", topic="t", partition="3", offset="7"))
    assert str(letter.key) == "t:3:7"


@pytest.mark.parametrize(
    "headers", [{}, {"topic": "t"}, {"topic": "t", "partition": "x", "offset": "1"}, {"partition": "1", "offset": "٣"}]
)
def test_a_record_that_something_else_wrote_is_a_letter_too(headers: dict[str, str]) -> None:
    letter = read_message(message(**headers))
    assert isinstance(letter, Letter)
    assert letter.foreign
    assert str(letter.key) == "inferwatch.dead-letters:2:40"


@pytest.mark.parametrize("index", [-1, 0, 5])
def test_a_mark_names_its_letter(index: int) -> None:
    key = LetterKey("t", 3, 7, index, "abc")
    mark = read_message(Message("d", 2, 40, b"t", None, mark_headers(key, "done", "run"), None, (1, 1_500)))
    assert mark == Mark(key, "done", "run", 1.5, (2, 40))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"", "nothing in it"),
        (b'{"a"', "no JSON"),
        (record(event(schema_version=99)).value, "Upgrade"),
        (record(event(started_at=NOW + 4_000)).value, "clock"),
        (record(event(started_at=NOW - 90 * 86_400)).value, "older"),
        (record(event(event_id="x")).value, "UUID"),
        (record(event(request_model="")).value, "which model"),
        (b"{}", "not there"),
        (b'{"event_id": 1}', "another type"),
        (record(event(duration=-1.0)).value, "beyond what it may be"),
        (b"\n" * 60_000 + b"x", "too large"),
    ],
)
def test_each_reason_is_explained(value: bytes, word: str) -> None:
    reason = fails_because(value, EnrichSettings(), NOW)
    assert reason is not None
    assert word in hint(reason)


def test_a_reason_that_nobody_foresaw_has_a_hint_too() -> None:
    assert "when the cause is gone" in hint("the moon was full")


def test_what_is_valid_by_now_would_not_fail_again() -> None:
    assert fails_because(record(event(), event()).value or b"", EnrichSettings(), NOW) is None
    assert fails_because(record(event(), b"{").value or b"", EnrichSettings(), NOW) is not None
