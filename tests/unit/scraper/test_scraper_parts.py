"""Settings that cannot work, what waits for Kafka, and what a scraper says of itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inferwatch import ServerSample, new_event_id, topics
from inferwatch.clock import Clock
from inferwatch.transport import MemoryTransport, Record, Report
from inferwatch.wire import decode_telemetry
from ingest.errors import SettingError
from ingest.scraper.metrics import OUTBOX_METRICS, SERVER_METRICS, exposition
from ingest.scraper.outbox import Outbox, OutboxStats
from ingest.scraper.scraper import Scraper
from ingest.scraper.settings import ScraperSettings, ServerAddress
from ingest.scraper.watched import Watched
from tests.unit.sdk.events import HandClock

DEADLINE = 10.0


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"servers": ()}, "servers"),
        ({"servers": (ServerAddress("a:1"), ServerAddress("a:1", "a:2"))}, "servers"),
        ({"admin_port": 70_000}, "admin_port"),
        ({"interval": 0.0}, "interval"),
        ({"timeout": -1.0}, "timeout"),
        ({"max_samples": 0}, "max_samples"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingError) as caught:
        ScraperSettings(**changes)
    assert caught.value.name == name


def test_a_scraper_that_is_not_started_needs_neither_kafka_nor_a_server() -> None:
    scraper = Scraper(ScraperSettings())
    assert [one.server.metrics for one in scraper.watched] == ["127.0.0.1:8002"]
    assert scraper.outbox.stats() == OutboxStats(0, 0, 0, 0, 0)


def sample(number: int) -> ServerSample:
    return ServerSample(
        sample_id=new_event_id(), at=1.0, interval=1.0, instance="t", environment="e", model="m", requests=number
    )


class Gate:
    """A transport that takes what it is told to take, and says when it has seen something. Waiting moves its clock."""

    def __init__(self, room: int = 10**6) -> None:
        self.room = room
        self.clock = HandClock()
        self.taken: list[Record] = []
        self.made = 0
        self.seen = threading.Event()
        self.error: Exception | None = None
        self.refuses: str | None = None

    def __call__(self, report: Report) -> Gate:
        self.made += 1
        self.report = report
        return self

    def send(self, record: Record) -> None:
        self.seen.set()
        if self.error is not None:
            raise self.error
        if len(self.taken) >= self.room:
            raise BufferError
        self.taken.append(record)

    def poll(self, timeout: float) -> None:
        self.clock.move(timeout)

    def close(self, timeout: float) -> None:
        for record in self.taken:
            self.report(record, self.refuses)

    @property
    def numbers(self) -> list[int]:
        return [decode_telemetry(record.value).requests for record in self.taken]  # type: ignore[union-attr]  # samples


class Narrow(MemoryTransport):
    """Has room for some records at a time, and acknowledges them when it is asked, as librdkafka does."""

    room = 3

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._queue: list[Record] = []

    def send(self, record: Record) -> None:
        if len(self._queue) == self.room:
            raise BufferError
        self._queue.append(record)

    def poll(self, timeout: float) -> None:
        while self._queue:
            super().send(self._queue.pop(0))

    def close(self, timeout: float) -> None:
        self.poll(timeout)


def outbox(most: int, new_transport: Callable[[Report], Any], clock: Clock | None = None) -> Outbox:
    made = Outbox(most, new_transport, 1.0, clock or HandClock())
    made.start()
    return made


def test_what_is_put_in_reaches_the_topic_under_the_key_of_its_model_in_order() -> None:
    transports: list[MemoryTransport] = []

    def new_transport(report: Report) -> MemoryTransport:
        transports.append(MemoryTransport(report))
        return transports[-1]

    box = outbox(10, new_transport)
    box.put([sample(1), sample(2)])
    box.put([sample(3)])
    box.close()
    sent = transports[0].sent
    assert [(record.topic, record.key) for record in sent] == [(topics.TELEMETRY, b"e/m")] * 3
    assert [decode_telemetry(record.value).requests for record in sent] == [1, 2, 3]  # type: ignore[union-attr]
    assert box.stats() == OutboxStats(put=3, sent=3, dropped=0, failed=0, waiting=0)


def test_while_kafka_is_away_the_oldest_are_dropped_and_nobody_waits() -> None:
    gate = Gate(room=0)
    box = outbox(3, gate)
    for number in range(8):
        box.put([sample(number)])
    assert gate.seen.wait(DEADLINE)
    assert box.stats().waiting + box.stats().dropped == 8
    assert box.stats().waiting <= 4
    gate.room = 10**6
    box.close()
    assert gate.numbers[-3:] == [5, 6, 7]
    stats = box.stats()
    assert (stats.sent + stats.dropped, stats.failed, stats.waiting) == (8, 0, 0)


def test_the_end_waits_for_all_that_kafka_takes_also_where_more_waits_than_the_transport_holds() -> None:
    box = outbox(1_000, Narrow)
    box.put([sample(number) for number in range(100)])
    box.close()
    assert box.stats() == OutboxStats(put=100, sent=100, dropped=0, failed=0, waiting=0)


def test_what_kafka_does_not_take_before_the_end_has_failed() -> None:
    gate = Gate(room=0)
    box = outbox(5, gate, gate.clock)
    box.put([sample(1), sample(2)])
    box.close()
    assert box.stats() == OutboxStats(put=2, sent=0, dropped=0, failed=2, waiting=0)
    assert gate.clock.elapsed() == pytest.approx(HandClock().elapsed() + 1.0)


def test_what_kafka_refuses_has_failed_and_the_reason_is_said(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    gate.refuses = "TOPIC_AUTHORIZATION_FAILED"
    box = outbox(5, gate)
    box.put([sample(1)])
    box.close()
    assert box.stats().failed == 1
    assert "TOPIC_AUTHORIZATION_FAILED" in caplog.text


def test_after_an_error_of_the_transport_another_one_sends_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.scraper.outbox._PAUSE_AFTER_FAILURE", 0.0)
    gate = Gate()
    gate.error = RuntimeError("fatal")
    box = outbox(5, gate)
    box.put([sample(1)])
    assert gate.seen.wait(DEADLINE)
    gate.error = None
    while gate.made < 2:
        gate.seen.wait(0.01)
    box.close()
    assert gate.numbers == [1]
    assert box.stats().sent == 1


def test_its_own_metrics_are_in_the_text_format_and_name_each_server() -> None:
    heard = Watched(ServerAddress("a:1"), "prod", scrapes=5, failed=2, resets=1, samples=9, last_success=100.5)
    never = Watched(ServerAddress("b:1"), "prod", scrapes=1, failed=1)
    text = exposition([heard, never], OutboxStats(put=9, sent=5, dropped=1, failed=1, waiting=2))
    found = {
        (each.name, each.labels.get("server")): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }
    assert {name for name, _ in found} == {*SERVER_METRICS, *OUTBOX_METRICS}
    assert found["inferwatch_scraper_failed_scrapes_total", "a:1"] == 2
    assert found["inferwatch_scraper_last_success_timestamp_seconds", "a:1"] == 100.5
    assert ("inferwatch_scraper_last_success_timestamp_seconds", "b:1") not in found
    assert found["inferwatch_scraper_waiting", None] == 2
