"""Records of a subject are recognised, whatever state they are in, and others are not."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from app.cli.erase import erase
from processors.erasure.matcher import RecordMatcher
from processors.erasure.report import ErasureReport, as_text
from storage.erasure.report import Found
from storage.erasure.subject import Kind, Subject

EVENT = "0192f0c1-2b3a-7c4d-8e5f-001122334455"


def hashed(user: str) -> str:
    return f"{abs(hash(user)):032x}"[:32]


def matcher(kind: Kind, identity: str) -> RecordMatcher:
    subject = Subject.of(kind, identity, secret="s", user_hash=hashed(identity))
    return RecordMatcher(subject, {EVENT}, {"response-1"}, hashed)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b'{"user": "ada"}', True),
        (b'{"user":"ada"', True),
        (b'{"who" : "ada"}', True),
        (b'{"user": "adam"}', False),
        (b'{"team": "ada"}', False),
        (json.dumps({"user": hashed("ada")}).encode(), True),
        (b'{"user": "eve"}\n{"user": "ada"}', True),
        (b'{"event_id": "0192F0C1-2b3a-7c4d-8e5f-001122334455"}', True),
        (b'{"event_id": "0192f0c1-2b3a-7c4d-8e5f-001122334456"}', False),
        (b'{"response_id": "response-1"}', True),
        (b'{"response_id": "response-11"}', False),
        (b"", False),
        (b"\xff\x00 not text", False),
    ],
)
def test_a_user_is_recognised_in_fields_that_name_people(value: bytes, found: bool) -> None:
    assert matcher("user", "ada")(value) is found


@pytest.mark.parametrize(
    ("identity", "value"), [("4711", b'{"user": 4711}'), ("jos\u00e9 x", b'{"user": "jos\\u00e9 x"}')]
)
def test_a_user_is_recognised_however_json_writes_the_id(identity: str, value: bytes) -> None:
    assert matcher("user", identity)(value)


def test_a_user_who_is_known_by_the_hash_alone_is_recognised_by_hashing() -> None:
    assert matcher("user", hashed("ada"))(b'{"user": "ada"}')
    assert not matcher("user", hashed("ada"))(b'{"user": "eve"}')


def test_a_distinct_id_is_recognised_in_the_middle_of_anything() -> None:
    assert matcher("user", "user-4711")(b"broken { user-4711 \xff")
    assert matcher("user", "zo\u00eb-4711")(b'{"note": "for zo\\u00eb-4711"}')
    assert not matcher("user", "user-4711")(b"user-47112")


def test_a_conversation_is_recognised_by_its_field() -> None:
    assert matcher("conversation", "talk")(b'{"conversation_id": "talk"}')
    assert not matcher("conversation", "talk")(b'{"note": "talk"}')


def test_the_report_says_where_it_looked_and_what_is_left() -> None:
    before = (Found("table inferences", 10, "rows", 2, "user (2)"), Found("table alerts", 3, "rows", 0))
    clean = (Found("table inferences", 10, "rows", 0), Found("topic t", 4, "records", 0))
    done = ErasureReport("user:1", False, 2, before, clean, 1.5)
    assert done.complete
    assert "table alerts" not in as_text(done)
    assert "Looked at 10 rows, 4 records: found 0." in as_text(done)
    left = ErasureReport("user:1", False, 2, before, (*clean, Found("files", 9, "files", 1, "a.bin")), 1.5)
    assert not left.complete
    assert "NOT COMPLETE: 1 left" in as_text(left)
    assert "a.bin" in as_text(left)
    looked = ErasureReport("user:1", True, 2, before, (), 0.1)
    assert not looked.complete
    assert "dry run" in as_text(looked)
    assert left.as_dict()["left"] == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["--user", "a", "--event", EVENT], ["--user", "a", "--json"]],
    ids=["nothing", "two subjects", "json without yes"],
)
def test_the_command_refuses_what_it_cannot_mean(arguments: list[str]) -> None:
    result = CliRunner().invoke(erase, arguments)
    assert result.exit_code == 2
    assert "--" in result.output
