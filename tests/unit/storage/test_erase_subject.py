"""Whom an erasure is about, and where that person is found in a text or a record."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.erasure.errors import BadSubject
from storage.erasure.subject import Kind, Subject, is_distinct, pattern_of
from storage.erasure.tables import shape_of

EVENT = "0192f0c1-2b3a-7c4d-8e5f-001122334455"
HASH = "ab" * 16


def subject(kind: Kind, identity: str, *, mentions: bool = False) -> Subject:
    return Subject.of(kind, identity, secret="secret", user_hash=HASH, mentions=mentions)


@pytest.mark.parametrize(
    ("kind", "identity"),
    [("user", ""), ("user", "  "), ("user", "a\nb"), ("conversation", "x" * 513), ("event", "17"), ("event", "")],
)
def test_what_is_no_id_is_refused(kind: Kind, identity: str) -> None:
    with pytest.raises(BadSubject) as caught:
        subject(kind, identity)
    assert caught.value.kind == kind
    assert identity.strip() == "" or identity not in str(caught.value)


def test_a_user_is_known_by_id_and_by_hash() -> None:
    user = subject("user", "user-4711")
    assert user.ids == ("user-4711", HASH)
    assert user.words == ("user-4711", HASH)
    assert user.erasure_id.startswith("user:")
    assert "4711" not in user.erasure_id
    assert HASH not in user.erasure_id
    assert "4711" not in repr(user)


def test_an_id_that_may_be_an_ordinary_word_is_looked_for_in_texts_only_on_demand() -> None:
    assert subject("user", "support").words == (HASH,)
    assert subject("user", "support", mentions=True).words == ("support", HASH)
    assert [is_distinct(value) for value in ("7", "ada", "search", "u-47", "123456", "ada.lovelace")] == [
        *(False, False, False, False),
        *(True, True),
    ]


def test_an_event_id_is_taken_in_any_spelling() -> None:
    assert subject("event", EVENT.upper().replace("-", "")).identity == EVENT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user-4711", True),
        ("ask user-4711, please", True),
        (r"said:\nuser-4711\nthen", True),
        ("user-47110", False),
        ("xuser-4711", False),
        ("/user-4711/", True),
        ("USER-4711", False),
    ],
)
def test_an_id_is_found_as_a_word_and_not_within_one(text: str, found: bool) -> None:
    assert bool(re.search(pattern_of("user-4711"), text)) is found


@given(st.text(min_size=1, max_size=20).filter(lambda word: word.isprintable() and word.strip() == word))
def test_any_id_is_found_between_blanks_and_taken_out_whole(word: str) -> None:
    pattern = pattern_of(word).encode()
    assert re.sub(pattern, rb"\1<ERASED>", f"before {word} after".encode()) == b"before <ERASED> after"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("String", "text"),
        ("LowCardinality(String)", "text"),
        ("Nullable(String)", "text"),
        ("LowCardinality(Nullable(String))", "text"),
        ("FixedString(32)", "text"),
        ("SimpleAggregateFunction(any, String)", "text"),
        ("Array(LowCardinality(String))", "texts"),
        ("Map(LowCardinality(String), String)", "map"),
        ("UUID", "uuid"),
        ("Nullable(UUID)", "uuid"),
        ("Array(UUID)", "uuids"),
        ("UInt32", None),
        ("Array(Float32)", None),
        ("DateTime64(3, 'UTC')", None),
        ("SimpleAggregateFunction(sum, UInt64)", None),
        ("AggregateFunction(quantilesTDigest(0.5), Float64)", None),
        ("Array(Tuple(entity_type LowCardinality(String), hits UInt32))", None),
    ],
)
def test_columns_that_can_hold_a_person_are_known_by_their_type(kind: str, shape: str | None) -> None:
    assert shape_of(kind) == shape


def test_the_ids_of_two_kinds_of_subject_differ_in_the_log() -> None:
    assert subject("user", EVENT).erasure_id != subject("event", EVENT).erasure_id
    other = Subject.of("user", EVENT, secret="another", user_hash=HASH)
    assert other.erasure_id != subject("user", EVENT).erasure_id
