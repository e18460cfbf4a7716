"""The background thread's work: what goes where, what is told of losses, and what ends when."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from inferwatch import DropReport, FeedbackEvent, Mirror, MirrorSettings, text_message, topics
from inferwatch.background import Background
from inferwatch.buffer import EventBuffer
from inferwatch.clock import SystemClock
from inferwatch.delivery import Delivery
from inferwatch.masking import WITHHELD
from inferwatch.transport import MemoryTransport, Record, Report, Transport
from inferwatch.wire import decode_feedback, decode_inference, decode_telemetry, split_record
from tests.unit.sdk.events import HandClock, event


class Holding:
    """A transport that holds what it is given, at most `most` records, until a test or its end settles it."""

    def __init__(self, report: Report, most: int = 1000) -> None:
        self.held: deque[Record] = deque()
        self.sent: list[Record] = []
        self.most = most
        self.polled = threading.Event()
        self.report = report

    def send(self, record: Record) -> None:
        if len(self.held) >= self.most:
            raise BufferError
        self.held.append(record)
        self.sent.append(record)

    def poll(self, timeout: float) -> None:
        self.polled.set()
        if timeout:
            self.settle(1)

    def close(self, timeout: float) -> None:
        self.settle(len(self.held))

    def settle(self, most: int, lost_because: str | None = None) -> None:
        for _ in range(min(most, len(self.held))):
            self.report(self.held.popleft(), lost_because)


class Ended(threading.Event):
    """Set from the beginning: one round, then the end."""

    def __init__(self) -> None:
        super().__init__()
        self.set()


def delivering(
    make: Callable[[Report], Transport], buffer: EventBuffer, clock: HandClock | None = None, **settings: Any
) -> Delivery:
    given = MirrorSettings("k:9092", **{"linger": 0.0, **settings})
    return Delivery(given, buffer, lambda _, report: make(report), clock or HandClock())


def buffer() -> EventBuffer:
    return EventBuffer(1000, 1 << 30)


def reports(sent: list[Record]) -> list[DropReport]:
    told = [decode_telemetry(record.value) for record in sent if record.topic == topics.TELEMETRY]
    return [one for one in told if isinstance(one, DropReport)]


def test_feedback_is_keyed_by_what_it_is_about_and_inferences_go_together() -> None:
    made: list[MemoryTransport] = []
    waiting = buffer()
    waiting.put(event(event_id="a"))
    waiting.put(FeedbackEvent(feedback_id="1", at=1.0, event_id="a", response_id="r"))
    waiting.put(FeedbackEvent(feedback_id="2", at=1.0, response_id="r\ud800"))
    waiting.put(event(event_id="b"))

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    delivery = delivering(make, waiting)
    delivery.run(Ended())
    sent = made[0].sent
    assert [(record.topic, record.key, record.events) for record in sent] == [
        (topics.FEEDBACK, b"a", 1),
        (topics.FEEDBACK, b"r?", 1),
        (topics.INFERENCES, None, 2),
    ]
    assert [decode_feedback(record.value).feedback_id for record in sent[:2]] == ["1", "2"]
    assert [decode_inference(line).event_id for _, line in split_record(sent[2].value)] == ["a", "b"]
    assert (delivery.delivered, delivery.failed, delivery.complete) == (4, 0, True)


def test_what_was_dropped_and_what_failed_is_told_and_told_once() -> None:
    made: list[MemoryTransport] = []
    waiting = EventBuffer(2, 1 << 30)
    for _ in range(5):
        waiting.put(event())
    waiting.put(event(parameters={"a": object()}))

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    delivery = delivering(make, waiting)
    delivery.run(Ended())
    delivery.run(Ended())
    (told,) = reports([record for transport in made for record in transport.sent])
    assert (told.dropped, told.failed, told.reasons) == (4, 1, {"memory full": 4, "not JSON: TypeError": 1})
    assert (delivery.delivered, delivery.failed) == (1, 1)


def test_a_report_that_is_lost_is_no_lost_event_and_is_told_again() -> None:
    holding: list[Holding] = []
    waiting = EventBuffer(1, 1 << 30)
    waiting.put(event())
    waiting.put(event())

    def make(report: Report) -> Transport:
        holding.append(Holding(report))
        return holding[-1]

    class Lossy(Holding):
        def close(self, timeout: float) -> None:
            self.settle(len(self.held), "no collector: ConnectionRefusedError")

    def lossy(report: Report) -> Transport:
        holding.append(Lossy(report))
        return holding[-1]

    # The second is for what the end of the first shows.
    makers = iter((lossy, lossy, make))
    delivery = delivering(lambda report: next(makers)(report), waiting)
    delivery.run(Ended())
    assert delivery.failed == 1
    delivery.run(Ended())
    first, second, third = (reports(one.sent) for one in holding)
    assert [one.report_id for one in first] == [one.report_id for one in second] == [one.report_id for one in third]
    assert second[0].reasons == third[0].reasons == {"memory full": 1, "no collector: ConnectionRefusedError": 1}
    assert delivery.failed == 1


def test_what_only_the_end_shows_as_lost_is_told_before_the_thread_ends() -> None:
    made: list[MemoryTransport] = []
    given: list[float] = []

    class Refusing(MemoryTransport):
        """Refuses inferences when it is closed, takes reports."""

        def send(self, record: Record) -> None:
            if record.topic == topics.TELEMETRY:
                super().send(record)
            else:
                self.refused = record

        def close(self, timeout: float) -> None:
            given.append(timeout)
            if self is made[0]:
                self._report(self.refused, "the collector refused it with 403")

    def make(report: Report) -> Transport:
        made.append(Refusing(report))
        return made[-1]

    waiting = buffer()
    for _ in range(4):
        waiting.put(event())
    delivery = delivering(make, waiting, flush_timeout=60.0)
    delivery.run(Ended())
    assert given[0] <= 54.0, "some of the time is left for the report"
    (told,) = reports([record for transport in made for record in transport.sent])
    assert (told.failed, told.reasons) == (4, {"the collector refused it with 403": 4})
    assert (delivery.failed, len(made)) == (4, 2)


class Unhurried(threading.Event):
    """Notes how long it is waited for without letting time pass; after a few waits it is set."""

    def __init__(self, waits: int, between: Callable[[], None]) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._most = waits
        self._between = between

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self._between()
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


@pytest.mark.parametrize("size", [10, 50_000])
def test_a_record_that_is_full_does_not_wait_for_the_linger(size: int) -> None:
    made: list[MemoryTransport] = []
    waiting = EventBuffer(500, 4 << 20)

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    def flood() -> None:
        for _ in range(60):
            waiting.put(event(input_messages=(text_message("user", "x" * size),)))

    delivery = delivering(make, waiting, linger=3_600.0)
    closing = Unhurried(40, flood)
    delivery.run(closing)
    assert waiting.dropped == 0
    assert delivery.delivered == waiting.recorded == 40 * 60
    assert max(timeout or 0.0 for timeout in closing.waits) <= 0.05


class Panic(BaseException):
    """As extensions written in Rust raise it."""


@pytest.mark.parametrize("kind", [Panic, SystemExit])
def test_a_hook_that_raises_what_ends_programs_ends_nothing(kind: type[BaseException]) -> None:
    made: list[MemoryTransport] = []

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    def mask(text: str) -> str:
        if text == "boom":
            raise kind
        return text

    waiting = buffer()
    for text in ("boom", "fine"):
        waiting.put(event(input_messages=(text_message("user", text),)))
    delivery = delivering(make, waiting, mask=mask)
    delivery.run(Ended())
    assert delivery.delivered == 2
    (record,) = made[0].records
    sent = [decode_inference(line).input_messages for _, line in split_record(record)]
    assert sent == [(text_message("user", WITHHELD),), (text_message("user", "fine"),)]


def test_losses_are_told_however_much_keeps_coming() -> None:
    holding: list[Holding] = []
    waiting = EventBuffer(50, 1 << 30)
    closing = threading.Event()

    class Flooded(Holding):
        """While a record is sent, more come than one record holds: the buffer is never empty."""

        def send(self, record: Record) -> None:
            super().send(record)
            for _ in range(0 if record.topic == topics.TELEMETRY else 60):
                waiting.put(event())
            if reports(self.sent) or len(self.sent) > 1000:
                closing.set()

    def make(report: Report) -> Transport:
        holding.append(Flooded(report, most=10_000))
        return holding[-1]

    waiting.put(event())
    delivery = delivering(make, waiting, events_per_record=10, report_interval=0.0)
    delivery.run(closing)
    assert reports(holding[0].sent)[0].dropped > 0
    assert len(holding[0].sent) < 100
    assert holding[0].polled.is_set()


def test_what_waits_at_the_end_is_sent_although_the_transport_holds_little() -> None:
    holding: list[Holding] = []
    waiting = buffer()
    for _ in range(500):
        waiting.put(event())

    def make(report: Report) -> Transport:
        holding.append(Holding(report, most=3))
        return holding[-1]

    delivery = delivering(make, waiting, events_per_record=1, flush_timeout=30.0)
    delivery.run(Ended())
    assert (delivery.delivered, delivery.failed, len(waiting)) == (500, 0, 0)


def test_a_transport_that_stays_full_ends_with_the_time_for_it() -> None:
    class Full(Holding):
        def poll(self, timeout: float) -> None:
            time.sleep(0.001)

    waiting = buffer()
    for _ in range(20):
        waiting.put(event())
    delivery = delivering(lambda report: Full(report, most=5), waiting, events_per_record=1, flush_timeout=0.05)
    delivery.run(Ended())
    assert (delivery.delivered, delivery.failed, len(waiting)) == (5, 15, 0)


def test_runs_do_not_overlap() -> None:
    inside, most = 0, 0
    both = threading.Barrier(2)

    class Counting(MemoryTransport):
        def send(self, record: Record) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            time.sleep(0.002)  # so that the other thread would come in, if it could
            super().send(record)
            inside -= 1

    waiting = buffer()
    for _ in range(40):
        waiting.put(event())
    delivery = delivering(Counting, waiting, events_per_record=1)

    def run() -> None:
        both.wait()
        delivery.run(Ended())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, delivery.delivered) == (1, 40)


def test_losses_of_one_kind_are_logged_once_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(MemoryTransport):
        def send(self, record: Record) -> None:
            raise OSError

    clock, waiting = HandClock(), buffer()
    delivery = delivering(Refusing, waiting, clock, report_interval=10.0, events_per_record=1)

    def lose(parameter: object) -> int:
        for _ in range(5):
            waiting.put(event(parameters={"a": parameter}))
        delivery.run(Ended())
        return len(caplog.records)

    assert [lose(object()), lose(object()), lose(1), lose(1)] == [1, 1, 2, 2]
    clock.move(10.0)
    assert [lose(1), lose(object()), lose(1)] == [3, 4, 4]
    assert delivery.failed == 35


def test_a_log_handler_that_fails_costs_nothing_but_the_line() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    handler = Broken()
    logging.getLogger("inferwatch").addHandler(handler)
    try:
        waiting = buffer()
        for parameters in ({}, {"a": object()}, {}):
            waiting.put(event(parameters=parameters))
        delivery = delivering(MemoryTransport, waiting)
        delivery.run(Ended())
        assert (delivery.delivered, delivery.failed) == (2, 1)
        with Mirror("nowhere:9", transport=lambda _, report: MemoryTransport(report)) as mirror:
            mirror.record("not an event")  # type: ignore[arg-type]  # what an application may do all the same
            mirror.inference("m", no_such_field=1).end()
            assert mirror.feedback()
    finally:
        logging.getLogger("inferwatch").removeHandler(handler)


def background(make: Callable[[Report], Transport], **settings: float) -> Background:
    given = MirrorSettings("k:9092", linger=0.0, **settings)  # type: ignore[arg-type]  # only numbers are given here
    return Background(given, lambda _, report: make(report), SystemClock())


def test_what_is_put_while_the_thread_ends_is_delivered_by_the_next() -> None:
    made: list[MemoryTransport] = []
    delivered = threading.Event()

    class Late(MemoryTransport):
        def send(self, record: Record) -> None:
            super().send(record)
            if len(made) > 1:
                delivered.set()

        def close(self, timeout: float) -> None:
            # After the last look at the buffer, from another thread of the application's.
            if len(made) == 1:
                other = threading.Thread(target=lambda: mirroring.put(event(event_id="late")))
                other.start()
                other.join()

    def make(report: Report) -> Transport:
        made.append(Late(report))
        return made[-1]

    mirroring = background(make, flush_timeout=10.0)
    mirroring.put(event(event_id="early"))
    mirroring.close()
    assert delivered.wait(10.0)
    mirroring.close()
    assert [[decode_inference(record).event_id for record in one.records] for one in made] == [["early"], ["late"]]


def test_a_thread_that_cannot_be_started_is_tried_again_by_the_next_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[MemoryTransport] = []

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    mirroring = background(make, flush_timeout=10.0)
    with monkeypatch.context() as patch:

        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", start)
        for name in ("first", "second", "third"):
            mirroring.put(event(event_id=name))
        mirroring.close()
    assert [line for line in caplog.messages if "can't start new thread" in line] == caplog.messages[:1]
    mirroring.put(event(event_id="fourth"))
    mirroring.close()
    (record,) = made[0].records
    names = [decode_inference(line).event_id for _, line in split_record(record)]
    assert names == ["first", "second", "third", "fourth"]


def test_threads_that_record_while_others_close_lose_nothing() -> None:
    made: list[MemoryTransport] = []

    def make(report: Report) -> Transport:
        made.append(MemoryTransport(report))
        return made[-1]

    mirroring = background(make, flush_timeout=10.0, max_events=100_000)

    def record() -> None:
        for _ in range(500):
            mirroring.put(event())

    recording = [threading.Thread(target=record) for _ in range(3)]
    for thread in recording:
        thread.start()
    while any(thread.is_alive() for thread in recording):
        mirroring.close()
    while len(mirroring.buffer) or mirroring.delivery.delivered < 1500:
        mirroring.close()
    sent = [line for transport in made for record in transport.records for _, line in split_record(record)]
    assert len({decode_inference(line).event_id for line in sent}) == 1500 == len(sent)
