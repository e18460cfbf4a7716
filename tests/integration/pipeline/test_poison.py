"""Whatever is not an event that can be true ends as a dead letter with its reason, or is stored cut and flagged."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytest
from confluent_kafka import Consumer, Producer

from inferwatch import new_event_id, topics
from storage.client import StoreSettings, connect
from tests.support.kafka import RunningKafka
from tests.support.waiting import wait_for
from tests.support.workers import running_worker, variables_for

LONG_TEXT: Final = "word, " * 900_000
"""5.4 MB of text."""


def line(**fields: Any) -> bytes:
    event = {
        "event_id": new_event_id(),
        "started_at": time.time() - 1,
        "duration": 0.5,
        "source": "sdk",
        "request_model": "smollm2",
        **fields,
    }
    return json.dumps(event, ensure_ascii=False).encode()


def asked(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "parts": [{"type": "text", "content": text}]}]


REFUSED: Final = {
    "no JSON at all": (b"hello", "not JSON"),
    "JSON that ends too early": (line()[:-10], "not JSON"),
    "an array": (b"[1, 2]", "got `array`"),
    "a number as a name": (line(service=7), "$.service"),
    "a text as a duration": (line(duration="long"), "$.duration"),
    "a message without a role": (line(input_messages=[{"parts": []}]), "$.input_messages"),
    "a status that nobody knows": (line(status="fine"), "$.status"),
    "a later schema": (line(schema_version=99), "schema_version 99"),
    "the year 1970": (line(started_at=0.0), "$.started_at: more than 30 days ago"),
    "the year 2100": (line(started_at=4.1e9), "$.started_at: ends more than"),
    "broken UTF-8": (line(service="x").replace(b'"x"', b'"\xff\xfe"'), "not JSON: UnicodeDecodeError"),
    "half of a surrogate pair": (line(service="x").replace(b'"x"', b'"\\ud800"'), "not JSON"),
    "not a number": (line(duration=0.25).replace(b"0.25", b"NaN"), "not JSON"),
    "a number too large": (line(duration=0.25).replace(b"0.25", b"1e999"), "$.duration"),
    "a negative duration": (line(duration=-1.0), "$.duration: negative"),
    "a negative time to first token": (line(time_to_first_token=-0.1), "$.time_to_first_token"),
    "a negative number of tokens": (line(input_tokens=-5), "$.input_tokens"),
    "more tokens than 64 bits hold": (line(input_tokens=10**30), "$.input_tokens"),
    "10,000 attributes": (line(attributes={f"a{n}": "1" for n in range(10_000)}), "$.attributes: more than 256"),
    "an id that is none": (line(event_id="7"), "$.event_id"),
    "no model": (line(request_model=""), "$.request_model"),
    "a name of a megabyte": (line(service="s" * 2**20), "$.service: more than 256"),
    "a million brackets": (line(team=8).replace(b'"team": 8', b'"parameters": {"a": ' + b"[" * 10**6), "too deeply"),
}  # fmt: skip


@dataclass
class Outcome:
    rows: dict[str, dict[str, Any]]
    letters: dict[str, list[tuple[bytes, str]]]


KEPT: Final = {
    "5 MB of text": line(input_messages=asked(LONG_TEXT), service="long"),
    "more cached tokens than tokens": line(input_tokens=10, cache_read_tokens=25, output_tokens=1, service="clamped"),
    "no environment": line(environment="", service="placeless"),
    "a text with a null character": line(input_messages=asked("a\0b"), service="null"),
    "a neighbour of all that": line(service="neighbour"),
}


@pytest.fixture(scope="module")
def outcome(own_kafka: RunningKafka, store_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    from storage.migrate import migrate

    folder: Path = tmp_path_factory.mktemp("poison")
    settings = StoreSettings(url=store_server.url, database=f"poison_{uuid.uuid4().hex}")
    migrate(settings)
    producer = Producer({"bootstrap.servers": own_kafka.bootstrap, "message.max.bytes": 16 << 20})
    variables = variables_for(own_kafka.bootstrap, settings, folder, INFERWATCH_POISON_LIMIT="1")
    with running_worker("enrich", variables, folder / "enrich.log"):
        for value, _ in REFUSED.values():
            producer.produce(topics.INFERENCES, value, key="poison", partition=0)
        for value in KEPT.values():
            producer.produce(topics.INFERENCES, value, partition=0)
        producer.produce(topics.INFERENCES, b"", partition=0)
        assert producer.flush(60) == 0
        letters = _letters(own_kafka.bootstrap, len(REFUSED) + 1)
        client = connect(settings)
        count = "SELECT count() FROM inferences"
        wait_for(lambda: int(str(client.command(count))) == len(KEPT), "what is kept")
        result = client.query("SELECT * FROM inferences")
        rows = {row["service"]: dict(row) for row in result.named_results()}
        client.command("DROP DATABASE {name:Identifier}", {"name": settings.database})
        client.close()
    return Outcome(rows, letters)


def _letters(bootstrap: str, count: int) -> dict[str, list[tuple[bytes, str]]]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topics.DEAD_LETTERS])
    found: dict[str, list[tuple[bytes, str]]] = {}
    try:
        while sum(map(len, found.values())) < count:
            message = consumer.poll(30)
            assert message is not None, f"{sum(map(len, found.values()))} dead letters came, not {count}"
            headers = {name: value.decode() for name, value in cast("list[tuple[str, bytes]]", message.headers())}
            found.setdefault(headers["offset"], []).append((message.value() or b"", headers["reason"]))
    finally:
        consumer.close()
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_true_is_a_dead_letter_with_its_reason(outcome: Outcome, name: str) -> None:
    value, reason = REFUSED[name]
    ((kept, told),) = outcome.letters[str(list(REFUSED).index(name))]
    assert kept == value
    assert reason in told


def test_an_empty_record_is_a_dead_letter(outcome: Outcome) -> None:
    assert outcome.letters[str(len(REFUSED) + len(KEPT))] == [(b"", "empty record")]


def test_text_beyond_the_limit_is_cut_with_its_length_and_hash_kept(outcome: Outcome) -> None:
    row = outcome.rows["long"]
    assert len(json.loads(row["input_messages"])[0]["parts"][0]["content"]) == 65_536
    assert row["input_characters"] == len(LONG_TEXT)
    assert row["input_sha256"] == hashlib.sha256(LONG_TEXT.encode()).hexdigest()
    assert row["truncated"]
    assert row["flags"] == ["text_cut"]


def test_parts_of_tokens_are_never_more_than_the_whole_and_flagged_when_they_were(outcome: Outcome) -> None:
    row = outcome.rows["clamped"]
    assert (row["input_tokens"], row["cache_read_tokens"]) == (10, 10)
    assert row["flags"] == ["sub_tokens_clamped"]


def test_what_is_only_odd_is_stored_as_it_is(outcome: Outcome) -> None:
    assert outcome.rows["placeless"]["environment"] == "default"
    assert json.loads(outcome.rows["null"]["input_messages"])[0]["parts"][0]["content"] == "a\0b"
    assert outcome.rows["neighbour"]["flags"] == []
