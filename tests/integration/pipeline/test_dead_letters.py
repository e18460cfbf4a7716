"""Dead letters on a real broker: listed once, shown sanely, sent back once."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.dead_letters import dead_letters as command
from inferwatch import topics
from processors.admin import ensure_topics
from processors.dead_letters import MOST_BYTES, dead_letter
from processors.dead_letters.arrived import REPLAYED_FROM
from processors.dead_letters.browse import Wanted, browse, find
from processors.dead_letters.errors import NoSuchLetter, NotReplayed
from processors.dead_letters.replay import Replay
from processors.dead_letters.sender import HeaderPairs, Sender
from processors.settings import EnrichSettings, KafkaSettings
from processors.topic_reader import Removed, TopicReader, headers_of
from tests.support.kafka import RunningKafka
from tests.support.made_ledgers import event_line, produce, without_topics

SECRET = b"ada@example.org"
NOT_JSON = b'{"event_id": tr, "input": "' + SECRET + b'"'


class MovedClock:
    """The system's clock, so many seconds later."""

    def __init__(self, later: float = 0.0) -> None:
        self.later = later

    def now(self) -> float:
        return time.time() + self.later

    def elapsed(self) -> float:
        return time.monotonic()


@pytest.fixture
def kafka(own_kafka: RunningKafka) -> KafkaSettings:
    """A broker with empty topics."""
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap)
    without_topics(settings, topics.INFERENCES, topics.DEAD_LETTERS)
    ensure_topics(settings)
    return settings


def bury(kafka: KafkaSettings, value: bytes, reason: str, offset: int, index: int | None = 0, **given: Any) -> int:
    """Write a dead letter as the enrich step does; return its own offset."""
    letter = dead_letter(value, reason, given.pop("topic", topics.INFERENCES), 1, offset, index, topic_id="made once")
    partition = given.pop("partition", 0)
    return produce(kafka, letter.topic, partition, [letter.value], headers=letter.headers, **given)[0]


def arrived(kafka: KafkaSettings) -> list[tuple[int, bytes, str]]:
    """Return partition, bytes and origin of everything in the inferences topic."""
    with TopicReader(kafka, topics.INFERENCES) as reader:
        found = [each for batch in reader.read(reader.whole()) if not isinstance(batch, Removed) for each in batch]
    return [(each.partition() or 0, each.value() or b"", headers_of(each).get(REPLAYED_FROM, "")) for each in found]


def replayed(kafka: KafkaSettings, ids: Sequence[str] = (), *, later: float = 0.0, **given: Any) -> dict[str, str]:
    """Replay letters; return what became of each."""
    dry = given.pop("dry", False)
    with Replay(kafka, EnrichSettings(), MovedClock(later), **given) as replay:
        replay.find(Wanted(), ids)
        return {str(outcome.key): f"{outcome.fate}: {outcome.why}".rstrip(": ") for outcome in replay.run(dry=dry)}


def invoked(kafka: KafkaSettings, *arguments: str, **given: Any) -> Result:
    variables = {"INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    return CliRunner().invoke(command, list(arguments), env=variables, **given)


def test_a_letter_that_was_set_apart_again_is_listed_once(kafka: KafkaSettings) -> None:
    for offset in (5, 6, 5, 5):
        bury(kafka, NOT_JSON, f"not JSON: {offset}", offset)
    found = browse(kafka, Wanted(), 10)
    assert (found.distinct, found.repeats) == (2, 2)
    assert sorted(str(letter.key) for letter in found.letters) == [f"{topics.INFERENCES}:1:{n}:0" for n in (5, 6)]
    assert {key.offset: times for key, times in found.times.items()} == {5: 3}


def test_the_latest_that_fit_are_listed(kafka: KafkaSettings) -> None:
    now = time.time()
    for offset in range(30):
        reason = "not JSON" if offset % 3 else "$.duration: negative"
        bury(kafka, b"{", reason, offset, at=now - 3600 + offset, partition=offset % 2)
    bury(kafka, b"{", "not JSON", 99, topic="elsewhere")
    latest = browse(kafka, Wanted(reason="json", topic=topics.INFERENCES), 4)
    assert [letter.key.offset for letter in latest.letters] == [29, 28, 26, 25]
    assert (latest.distinct, dict(latest.reasons)) == (20, {"not JSON": 20})
    assert browse(kafka, Wanted(since=now - 60), 50).distinct == 1
    assert browse(kafka, Wanted(since=now - 3580.5, until=now - 60), 50).distinct == 10
    assert browse(kafka, Wanted(partition=7), 50).distinct == 0


def test_what_is_listed_is_masked_unless_it_is_asked_for(kafka: KafkaSettings) -> None:
    bury(kafka, NOT_JSON, "not JSON", 1)
    bury(kafka, event_line(user="u-17", attributes={"to": SECRET.decode()}), "$.x: wrong", 2)
    masked = invoked(kafka, "list")
    assert (masked.exit_code, "ada@" in masked.output, "u-17" in masked.output) == (0, False, False)
    assert "<EMAIL_ADDRESS>" in masked.stdout
    told = json.loads(invoked(kafka, "list", "--json").stdout)
    assert "ada@" not in json.dumps(told)
    assert [letter["id"] for letter in told["dead_letters"]] == [f"{topics.INFERENCES}:1:{n}:0" for n in (2, 1)]
    assert SECRET.decode() in invoked(kafka, "list", "--unmasked").stdout


def test_a_letter_is_found_by_where_it_stood_and_by_where_it_stands(kafka: KafkaSettings) -> None:
    bury(kafka, b"{", "not JSON", 40)
    offset = bury(kafka, b"{", "empty record", 41, None, partition=2)
    for wanted in (f"{topics.INFERENCES}:1:41", f"2:{offset}"):
        letter, done = find(kafka, wanted)
        assert (str(letter.key), letter.partition, done) == (f"{topics.INFERENCES}:1:41", 2, False)
    with pytest.raises(NoSuchLetter, match="several"):
        find(kafka, "0")
    bury(kafka, b"{", "not JSON", 42)
    assert find(kafka, "1")[0].key.offset == 42


@pytest.mark.parametrize("wanted", ["17", "0:17", "inferwatch.inferences:1:2:3", "", ":::", "x", "9:9:9", "-1"])
def test_an_id_that_nothing_has_is_said_so(kafka: KafkaSettings, wanted: str) -> None:
    with pytest.raises(NoSuchLetter, match="no such dead letter"):
        find(kafka, wanted)


@pytest.mark.parametrize("value", [b"\xff\x00\x1b[2J\x07 {", b'{"a": "' + b"x" * (5 << 20) + b'"}', b"", b"\n\n"])
def test_any_payload_is_shown_in_a_few_lines_that_no_terminal_obeys(kafka: KafkaSettings, value: bytes) -> None:
    bury(kafka, value, "not JSON", 1)
    shown = invoked(kafka, "show", f"{topics.INFERENCES}:1:1:0")
    assert shown.exit_code == 0
    assert len(shown.stdout) < 6_000
    assert all(line.isprintable() for line in shown.stdout.splitlines())
    assert "no JSON in UTF-8" in shown.stdout
    assert f"{len(value):,} bytes" in shown.stdout
    assert invoked(kafka, "show", "--unmasked", f"{topics.INFERENCES}:1:1:0").stdout.isascii()


def test_a_record_that_something_else_wrote_is_listed_and_never_replayed(kafka: KafkaSettings) -> None:
    produce(kafka, topics.DEAD_LETTERS, 3, [b"hello"])
    assert str(browse(kafka, Wanted(), 5).letters[0].key) == f"{topics.DEAD_LETTERS}:3:0"
    assert replayed(kafka) == {}


def test_a_replay_sends_the_same_bytes_back_once(kafka: KafkaSettings) -> None:
    line = event_line()
    bury(kafka, line, "$.started_at: ends more than 300 seconds from now", 7, 3)
    bury(kafka, line, "$.started_at: ends more than 300 seconds from now", 7, 3)
    name = f"{topics.INFERENCES}:1:7:3"
    assert replayed(kafka, [name]) == {name: "replayed"}
    assert arrived(kafka) == [(1, line, name)]
    assert replayed(kafka, [name]) == {name: "already replayed"}
    assert replayed(kafka, later=1e6) == {name: "already replayed"}
    assert len(arrived(kafka)) == 1
    assert find(kafka, name)[1]
    assert len(browse(kafka, Wanted(), 9).replayed) == 1


def test_what_would_become_a_dead_letter_again_is_left_out(kafka: KafkaSettings) -> None:
    bury(kafka, NOT_JSON, "not JSON: DecodeError", 1)
    bury(kafka, b"", "empty record", 2)
    (why, empty) = replayed(kafka).values()
    assert why.startswith("left out: it would fail again: not JSON")
    assert empty == "left out: there is nothing in it"
    assert arrived(kafka) == []
    assert "replayed" in replayed(kafka, anyway=True).values()
    assert [value for _, value, _ in arrived(kafka)] == [NOT_JSON]


def test_bytes_that_were_cut_are_not_sent_back(kafka: KafkaSettings) -> None:
    bury(kafka, b"x" * (MOST_BYTES + 1), "more than 50000 events in one record", 1, None)
    (fate,) = replayed(kafka, anyway=True).values()
    assert fate == f"left out: only {MOST_BYTES} of its {MOST_BYTES + 1} bytes were kept"


def test_a_dry_run_sends_nothing(kafka: KafkaSettings) -> None:
    bury(kafka, event_line(), "why", 1)
    assert list(replayed(kafka, dry=True).values()) == ["would be replayed"]
    assert arrived(kafka) == []
    assert list(replayed(kafka).values()) == ["replayed"]


def killed_when(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Let a replay die at the moment when it would write a mark of a stage."""
    mark = Sender.mark

    def dying(self: Sender, marks: Sequence[tuple[str, HeaderPairs]]) -> None:
        if any(("inferwatch-replay", stage) in headers for _, headers in marks):
            raise NotReplayed("t", "killed")
        mark(self, marks)

    monkeypatch.setattr(Sender, "mark", dying)


def test_a_replay_that_died_after_it_sent_is_not_repeated(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(kafka, event_line(), "why", 1)
    with monkeypatch.context() as patch:
        killed_when(patch, "done")
        with pytest.raises(NotReplayed):
            replayed(kafka)
    assert list(replayed(kafka).values()) == ["already replayed"]
    assert list(replayed(kafka).values()) == ["already replayed"]
    assert len(arrived(kafka)) == 1


def test_a_replay_that_died_before_it_sent_is_made_up_for(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(kafka, event_line(), "why", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Sender, "give", lambda *_: (_ for _ in ()).throw(NotReplayed("t", "killed")))
        with pytest.raises(NotReplayed):
            replayed(kafka)
    (soon,) = replayed(kafka).values()
    assert soon.startswith("under way: another replay began it less than a minute ago")
    assert list(replayed(kafka, later=120).values()) == ["replayed"]
    assert len(arrived(kafka)) == 1


def test_replays_at_the_same_time_send_each_letter_once(kafka: KafkaSettings) -> None:
    lines = [event_line() for _ in range(60)]
    for offset, line in enumerate(lines):
        bury(kafka, line, "why", offset)
    ready, fates = threading.Barrier(3), Counter[str]()

    def work() -> None:
        with Replay(kafka, EnrichSettings(), MovedClock()) as replay:
            replay.find(Wanted())
            ready.wait(60)
            fates.update(outcome.fate for outcome in replay.run())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(value for _, value, _ in arrived(kafka)) == sorted(lines)
    assert fates["replayed"] == 60
    assert sum(fates.values()) == 180


def test_the_command_asks_before_it_sends(kafka: KafkaSettings) -> None:
    bury(kafka, event_line(), "why", 1)
    refused = invoked(kafka, "replay", "--all", input="n\n")
    assert (refused.exit_code, arrived(kafka)) == (1, [])
    assert "Send 1 dead letters back?" in refused.output
    told = json.loads(invoked(kafka, "replay", "--all", "--yes", "--json").stdout)
    assert (told["replayed"], told["dead_letters"][0]["id"]) == (1, f"{topics.INFERENCES}:1:1:0")
    again = invoked(kafka, "replay", f"{topics.INFERENCES}:1:1:0", "--yes")
    assert (again.exit_code, "already replayed" in again.stdout) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "--all", "1:2"],
        ["replay", "1:2", "--reason", "x"],
        ["replay", "--all", "--json"],
        ["list", "--since", "yesterday"],
        ["list", "--limit", "0"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(kafka: KafkaSettings, arguments: list[str]) -> None:
    assert invoked(kafka, *arguments).exit_code == 2
    assert arrived(kafka) == []


def test_ids_that_are_not_there_stop_a_replay_before_it_begins(kafka: KafkaSettings) -> None:
    bury(kafka, event_line(), "why", 1)
    result = invoked(kafka, "replay", f"{topics.INFERENCES}:1:1:0", "nowhere:0:0", "--yes")
    assert isinstance(result.exception, NoSuchLetter)
    assert arrived(kafka) == []
