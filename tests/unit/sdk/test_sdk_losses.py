"""Reports of what was lost: whatever becomes of them, those that arrive add up to what was lost, once."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferwatch import DropReport, MirrorSettings, topics
from inferwatch.losses import MEMORY_FULL, Losses
from inferwatch.transport import Record
from inferwatch.wire import decode_telemetry
from tests.unit.sdk.events import HandClock

SETTINGS = MirrorSettings(
    "k:9092", report_interval=10.0, service="shop", environment="prod", team="retail", source="sidecar"
)


def report_of(record: Record) -> DropReport:
    told = decode_telemetry(record.value)
    assert isinstance(told, DropReport)
    return told


class Reporting(RuleBasedStateMachine):
    """A mirror that loses events, and a network that loses reports, or their acknowledgements."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.losses = Losses(SETTINGS, self.clock, "here")
        self.begun = self.clock.now()
        self.dropped = 0
        self.failed: dict[str, int] = {}
        self.in_flight: Record | None = None
        self.arrived: dict[str, DropReport] = {}
        self.acknowledged: list[DropReport] = []

    @rule(events=st.integers(1, 50), reason=st.sampled_from(["no collector: timeout", "_MSG_TIMED_OUT", "not JSON"]))
    def fail(self, events: int, reason: str) -> None:
        self.losses.failed(events, reason)
        self.failed[reason] = self.failed.get(reason, 0) + events

    @rule(events=st.integers(0, 50))
    def drop(self, events: int) -> None:
        self.dropped += events
        self.losses.dropped(self.dropped)

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(at_the_end=st.booleans())
    def look(self, at_the_end: bool) -> None:
        record = self.losses.due(at_the_end=at_the_end)
        if record is None:
            return
        assert self.in_flight is None, "one report at a time"
        self.in_flight = record
        told = report_of(record)
        assert told.since == (self.acknowledged[-1].at if self.acknowledged else self.begun)
        assert told.at == self.clock.now()

    @precondition(lambda self: self.in_flight is not None)
    @rule(arrives=st.booleans(), acknowledged=st.booleans())
    def answer(self, arrives: bool, acknowledged: bool) -> None:
        record, self.in_flight = self.in_flight, None
        assert record is not None
        told = report_of(record)
        if arrives or acknowledged:
            before = self.arrived.get(told.report_id)
            assert before is None or (before.since == told.since and before.at <= told.at)
            self.arrived[told.report_id] = told
        if acknowledged:
            self.acknowledged.append(told)
        self.losses.settled(record, None if acknowledged else "no collector: timeout")

    @invariant()
    def nobody_is_told_more_than_was_lost(self) -> None:
        told = list(self.arrived.values())
        assert sum(one.dropped for one in told) <= self.dropped
        assert sum(one.failed for one in told) <= sum(self.failed.values())
        assert all(sum(one.reasons.values()) == one.dropped + one.failed for one in told)

    def teardown(self) -> None:
        """In the end the network works, and every report arrives."""
        while self.in_flight is not None or (record := self.losses.due(at_the_end=True)) is not None:
            self.in_flight = self.in_flight or record
            self.answer(arrives=True, acknowledged=True)
        told = list(self.arrived.values())
        assert sum(one.dropped for one in told) == self.dropped
        for reason, events in {**self.failed, MEMORY_FULL: self.dropped}.items():
            assert sum(one.reasons.get(reason, 0) for one in told) == events
        following = sorted(self.acknowledged, key=lambda one: (one.since, one.at))
        assert [one.since for one in following] == [self.begun, *(one.at for one in following)][: len(following)]


TestReporting = Reporting.TestCase


def losses() -> tuple[Losses, HandClock]:
    clock = HandClock()
    return Losses(SETTINGS, clock, "here"), clock


def due(losses: Losses, **named: Any) -> Record:
    record = losses.due(**named)
    assert record is not None
    return record


def test_a_report_says_whose_it_is_and_is_keyed_by_the_environment() -> None:
    reporting, clock = losses()
    reporting.failed(3, "_MSG_TIMED_OUT")
    reporting.dropped(2)
    clock.move(10.0)
    record = due(reporting)
    assert (record.topic, record.key, record.events) == (topics.TELEMETRY, b"prod/", 1)
    told = report_of(record)
    assert (told.source, told.service, told.environment, told.team) == ("sidecar", "shop", "prod", "retail")
    assert (told.instance, told.dropped, told.failed) == ("here", 2, 3)
    assert told.reasons == {"_MSG_TIMED_OUT": 3, MEMORY_FULL: 2}


def test_nothing_is_said_where_nothing_was_lost() -> None:
    reporting, clock = losses()
    clock.move(1e6)
    assert reporting.due() is None
    assert reporting.due(at_the_end=True) is None


def test_reports_are_an_interval_apart_but_the_last_one_does_not_wait() -> None:
    reporting, clock = losses()
    reporting.failed(1, "a")
    assert reporting.due() is None
    clock.move(10.0)
    reporting.settled(due(reporting), None)
    reporting.failed(1, "a")
    clock.move(9.9)
    assert reporting.due() is None
    assert report_of(due(reporting, at_the_end=True)).failed == 1


def test_a_report_that_failed_is_made_again_with_its_id_and_what_was_lost_since() -> None:
    reporting, clock = losses()
    reporting.failed(1, "a")
    clock.move(10.0)
    first = due(reporting)
    reporting.settled(first, "no collector: timeout")
    assert reporting.due() is None
    reporting.failed(2, "a")
    clock.move(10.0)
    second = due(reporting)
    assert report_of(second).report_id == report_of(first).report_id
    assert (report_of(second).since, report_of(second).failed) == (report_of(first).since, 3)
    reporting.settled(first, None)  # too late: it is not the one that is in flight
    reporting.settled(second, "no collector: timeout")
    third = due(reporting, at_the_end=True)
    assert (report_of(third).report_id, report_of(third).failed) == (report_of(first).report_id, 3)
    reporting.settled(third, None)
    reporting.failed(1, "a")
    assert report_of(due(reporting, at_the_end=True)).report_id != report_of(first).report_id


def test_instances_of_one_process_are_told_apart() -> None:
    made = set()
    for _ in range(20):
        reporting = Losses(SETTINGS, HandClock())
        reporting.failed(1, "a")
        made.add(report_of(due(reporting, at_the_end=True)).instance)
    assert len(made) == 20
