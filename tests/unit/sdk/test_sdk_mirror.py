"""The mirror: what is recorded arrives once or is counted, and nothing of it reaches the application."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inferwatch import DropReport, Mirror, MirrorSettings, context, text_message, topics
from inferwatch.transport import MemoryTransport, Record, Report, Transport
from inferwatch.wire import decode_feedback, decode_inference, decode_telemetry, split_record
from tests.support.waiting import wait_for
from tests.unit.sdk.events import HandClock, event


class Blocked:
    """A transport that takes nothing until it is opened, then keeps what it is sent."""

    def __init__(self, report: Report) -> None:
        self.inner = MemoryTransport(report)
        self.open = threading.Event()
        self.asked = threading.Event()

    def send(self, record: Record) -> None:
        self.asked.set()
        if not self.open.is_set():
            raise BufferError
        self.inner.send(record)

    def poll(self, timeout: float) -> None:
        self.open.wait(timeout)

    def close(self, timeout: float) -> None:
        return


class Failing:
    """A transport that fails at one of its methods."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.closed = 0

    def send(self, record: Record) -> None:
        if self.where == "send":
            raise RuntimeError("no")

    def poll(self, timeout: float) -> None:
        if self.where == "poll":
            raise RuntimeError("no")

    def close(self, timeout: float) -> None:
        self.closed += 1


@contextmanager
def mirroring(make: Callable[[Report], Transport], **settings: Any) -> Iterator[Mirror]:
    settings = {"linger": 0.0, "flush_timeout": 5.0, **settings}
    mirror = Mirror("nowhere:9", transport=lambda _, report: make(report), **settings)
    try:
        yield mirror
    finally:
        mirror.close()


def memory() -> tuple[list[MemoryTransport], Callable[[Report], Transport]]:
    made: list[MemoryTransport] = []

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    return made, make


def ids(records: list[bytes]) -> list[str]:
    return [decode_inference(line).event_id for record in records for _, line in split_record(record)]


def test_every_event_arrives_once_and_in_order() -> None:
    made, make = memory()
    with mirroring(make, events_per_record=7) as mirror:
        sent = [event() for _ in range(100)]
        for one in sent:
            mirror.record(one)
    assert ids(made[0].records) == [one.event_id for one in sent]
    stats = mirror.stats()
    assert (stats.recorded, stats.delivered, stats.dropped, stats.failed, stats.waiting) == (100, 100, 0, 0, 0)


def test_a_record_is_closed_by_number_and_by_size() -> None:
    made, make = memory()
    with mirroring(make, events_per_record=3, record_bytes=2_000) as mirror:
        for size in (10, 10, 10, 10, 1_500, 1_500):
            mirror.record(event(input_messages=(text_message("user", "x" * size),)))
    assert len(ids(made[0].records)) == 6
    assert all(len(list(split_record(record))) <= 3 for record in made[0].records)
    assert all(len(record) <= 2_000 for record in made[0].records)


def test_long_text_is_cut_before_it_is_sent() -> None:
    made, make = memory()
    with mirroring(make, max_text_characters=12) as mirror:
        mirror.record(event(input_messages=(text_message("user", "said Ann, " * 5),)))
    sent = decode_inference(made[0].records[0])
    assert sent.input_messages[0].parts[0].content == "said Ann, …"
    assert sent.truncated is not None
    assert sent.truncated.input_characters == 50


def test_a_full_transport_drops_the_oldest_and_the_counts_add_up() -> None:
    blocked: list[Blocked] = []

    def make(report: Report) -> Transport:
        blocked.append(Blocked(report))
        return blocked[-1]

    with mirroring(make, max_events=10, events_per_record=1) as mirror:
        mirror.record(event(event_id="first"))
        wait_for(lambda: bool(blocked) and blocked[0].asked.is_set(), "the transport to be asked", 10.0)
        for number in range(30):
            mirror.record(event(event_id=str(number)))
        stats = mirror.stats()
        assert (stats.recorded, stats.dropped, stats.waiting) == (31, 20, 10)
        blocked[0].open.set()
    stats = mirror.stats()
    assert ids(blocked[0].inner.records) == ["first", *map(str, range(20, 30))]
    assert stats.recorded == 31 == stats.delivered + stats.dropped + stats.failed + stats.waiting


def test_what_a_full_transport_does_not_take_until_the_end_has_failed() -> None:
    with mirroring(Blocked, flush_timeout=0.1) as mirror:
        for _ in range(5):
            mirror.record(event())
    stats = mirror.stats()
    assert (stats.recorded, stats.failed, stats.waiting) == (5, 5, 0)


def test_a_transport_that_raises_costs_its_record_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    made: list[Failing] = []

    def make(_: Report) -> Transport:
        made.append(Failing("send"))
        return made[-1]

    with mirroring(make, events_per_record=2) as mirror:
        for _ in range(5):
            mirror.record(event())
    stats = mirror.stats()
    assert (stats.recorded, stats.failed, stats.waiting) == (5, 5, 0)
    assert {failing.closed for failing in made} == {1}
    assert "not sent: RuntimeError" in caplog.text


@pytest.mark.parametrize("where", ["poll", "make"])
def test_a_transport_that_cannot_work_never_reaches_the_application(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    def make(_: Report) -> Transport:
        if where == "make":
            raise OSError("no such library")
        return Failing(where)

    before = threading.active_count()
    with mirroring(make, max_events=3) as mirror:
        for _ in range(50):
            mirror.record(event())
        assert threading.active_count() <= before + 1
    stats = mirror.stats()
    assert stats.recorded == 50
    assert stats.delivered == 0
    if where == "make":
        assert (stats.dropped, stats.waiting) == (47, 3)
        assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


def test_an_event_that_is_not_json_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    made, make = memory()
    with mirroring(make) as mirror:
        for parameters in ({}, {"a": object()}, {"b": 1}):
            mirror.record(event(parameters=parameters))
    assert len(ids(made[0].records)) == 2
    stats = mirror.stats()
    assert (stats.recorded, stats.delivered, stats.failed) == (3, 2, 1)
    assert "not JSON: TypeError" in caplog.text


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


class NoEvent:
    """What takes no attributes to ask for a size or an event."""


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (lambda mirror: mirror.record("not an event"), "not JSON: AttributeError"),
        (lambda mirror: mirror.record(NoEvent()), "not JSON: AttributeError"),
        (lambda mirror: mirror.inference("m", parameters=nested(5_000)).end(), "not JSON: RecursionError"),
        (lambda mirror: mirror.inference("m", parameters=5).end(), "not an event: Expected `object`, got `int`"),
    ],
    ids=["a text", "an object", "too deep", "no mapping"],
)
def test_what_no_event_can_be_made_of_is_counted_and_told_once(
    record: Callable[[Mirror], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, make = memory()
    with mirroring(make, report_interval=60.0) as mirror:
        for _ in range(5):
            record(mirror)
    stats = mirror.stats()
    assert (stats.recorded, stats.failed, stats.waiting) == (5, 5, 0)
    told = [decode_telemetry(value) for transport in made for value in transport.values(topics.TELEMETRY)]
    assert sum(one.failed for one in told if isinstance(one, DropReport)) == 5
    assert [line.count("events were lost") for line in caplog.messages] == [1]
    assert reason in caplog.text


def test_a_closed_mirror_can_be_used_again() -> None:
    made, make = memory()
    with mirroring(make) as mirror:
        mirror.record(event(event_id="a"))
        mirror.close()
        mirror.close()
        mirror.record(event(event_id="b"))
    assert [ids(transport.records) for transport in made] == [["a"], ["b"]]


def test_nothing_starts_before_the_first_event() -> None:
    made, make = memory()
    before = threading.active_count()
    with mirroring(make):
        assert threading.active_count() == before
    assert made == []


def test_an_inference_carries_what_the_mirror_knows() -> None:
    made, make = memory()
    with (
        mirroring(make, service="shop", environment="prod", team="retail", clock=HandClock()) as mirror,
        mirror.inference("m", input="hi", team="other") as inference,
    ):
        inference.output("ho")
    sent = decode_inference(made[0].records[0])
    assert (sent.service, sent.environment, sent.team, sent.request_model) == ("shop", "prod", "other", "m")
    assert sent.event_id == inference.event_id


def test_the_settings_reach_the_transport() -> None:
    given: list[MirrorSettings] = []

    def make(settings: MirrorSettings, report: Report) -> Transport:
        given.append(settings)
        return MemoryTransport(report)

    mirror = Mirror("k:1", transport=make, linger=0.0, kafka={"security.protocol": "SSL"})
    mirror.record(event())
    mirror.close()
    assert given == [mirror.settings]
    assert given[0].kafka == {"security.protocol": "SSL"}


def test_an_event_recorded_while_the_thread_is_made_neither_hangs_nor_starts_a_second_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, make = memory()
    # Neither the test nor the end of the process may wait for a mirror that hangs.
    monkeypatch.setattr("atexit.register", lambda _: None)
    mirror = Mirror("nowhere:9", transport=lambda _, report: make(report), linger=0.0)
    real = threading.Thread
    caller = real(target=lambda: mirror.record(event(event_id="outer")), daemon=True)
    recorded: list[str] = []

    def thread(*args: Any, **named: Any) -> threading.Thread:
        # As the garbage collector does where it ends a generator that was timing an inference.
        if not recorded:
            recorded.append("inner")
            mirror.record(event(event_id="inner"))
        return real(*args, **named)

    monkeypatch.setattr(threading, "Thread", thread)
    caller.start()
    caller.join(10.0)
    assert not caller.is_alive(), "it waits for a lock that it holds"
    mirror.close()
    assert [ids(transport.records) for transport in made] == [["outer", "inner"]]


def test_what_the_application_does_to_its_messages_afterwards_changes_nothing() -> None:
    made, make = memory()
    with mirroring(make) as mirror:
        messages = [{"role": "user", "content": "one"}]
        with mirror.inference("m", messages) as call:
            call.output([{"role": "assistant", "content": "two"}])
        messages[0]["content"] = "changed"
        mirror.close()
    (line,) = made[0].records
    event = decode_inference(line)
    assert (event.input_messages, event.output_messages) == (
        (text_message("user", "one"),),
        (text_message("assistant", "two"),),
    )


def test_an_inference_of_which_no_event_can_be_made_is_counted_and_harms_no_other() -> None:
    made, make = memory()
    with mirroring(make) as mirror:
        with mirror.inference("m", "one", no_such_field=1):
            pass
        with mirror.inference("m", "two"):
            pass
        mirror.close()
        assert (mirror.stats().recorded, mirror.stats().delivered, mirror.stats().failed) == (2, 1, 1)
    (line,) = made[0].records
    assert decode_inference(line).input_messages == (text_message("user", "two"),)


def test_inferences_count_against_the_memory_bound_before_an_event_is_made_of_them() -> None:
    blocked: list[Blocked] = []

    def make(report: Report) -> Transport:
        blocked.append(Blocked(report))
        return blocked[0]

    with mirroring(make, max_bytes=50_000) as mirror:
        for _ in range(100):
            with mirror.inference("m", [{"role": "user", "content": "x" * 5_000}]) as call:
                call.chunk("y" * 5_000)
        assert mirror.stats().dropped >= 80
        blocked[0].open.set() if blocked else None


def test_ids_and_attributes_may_be_numbers_and_arrive_as_texts() -> None:
    made, make = memory()
    with mirroring(make) as mirror:
        with context(user=42, attributes={"tenant": 7, "beta": True}):  # type: ignore[dict-item, arg-type]  # as applications have them
            mirror.inference("m", conversation_id=3).end()
        call = mirror.inference("m")
        call.error(503, "overloaded")  # type: ignore[arg-type]  # as clients of HTTP have it
        call.end()
        mirror.feedback("e", who=42)  # type: ignore[arg-type]  # as applications have it
    first, second = (decode_inference(line) for record in made[0].records for _, line in split_record(record))
    assert (first.user, first.conversation_id, first.attributes) == ("42", "3", {"tenant": "7", "beta": "True"})
    assert (second.error_type, second.error_message) == ("503", "overloaded")
    (rating,) = (decode_feedback(value) for value in made[0].values(topics.FEEDBACK))
    assert rating.who == "42"
    assert (mirror.stats().delivered, mirror.stats().failed) == (3, 0)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"user": ["a", "b"]}, "$.user"),
        ({"status": "failed"}, "$.status"),
        ({"attributes": {"a": None}}, "$.attributes[...]"),
        ({"time_to_first_token": "0.5"}, "$.time_to_first_token"),
        ({"embedding": [0.5, float("nan")]}, "$.embedding[...]"),
    ],
)
def test_what_the_platform_would_refuse_is_no_delivered_event(
    fields: dict[str, Any], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, make = memory()
    with mirroring(make) as mirror:
        mirror.inference("m", **fields).end()
        mirror.inference("n").end()
    (line,) = made[0].records
    assert decode_inference(line).request_model == "n"
    assert (mirror.stats().delivered, mirror.stats().failed) == (1, 1)
    assert "not an event: " in caplog.text
    assert where in caplog.text
