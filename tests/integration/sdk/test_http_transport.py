"""Records over HTTP: whatever the other side does, each is reported once, and none is taken twice."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from inferwatch import Mirror, MirrorSettings, topics
from inferwatch.http import HttpTransport
from inferwatch.transport import Record
from tests.integration.sdk.answering_server import Answer, AnsweringServer, Request, answering_server
from tests.support.waiting import wait_for
from tests.unit.sdk.events import HandClock


class Sender:
    """A transport, and what it reported."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.reports: list[tuple[Record, str | None]] = []
        self.transport = HttpTransport(MirrorSettings(collector_url=url, **settings), self._report)
        self.sent = 0

    def send(self, *lines: bytes, topic: str = topics.INFERENCES) -> None:
        self.transport.send(Record(topic, b"\n".join(lines), len(lines)))
        self.sent += len(lines)

    def settle(self) -> None:
        """Poll until each event is reported."""
        wait_for(self._settled, "every event to be reported", 30.0)

    @property
    def delivered(self) -> list[bytes]:
        return [line for record, lost in self.reports if lost is None for line in record.value.split(b"\n")]

    @property
    def lost(self) -> dict[bytes, str]:
        return {line: lost for record, lost in self.reports if lost for line in record.value.split(b"\n")}

    def _settled(self) -> bool:
        self.transport.poll(0.01)
        settled = sum(record.events for record, _ in self.reports)
        assert settled <= self.sent, "an event was reported twice"
        return settled == self.sent

    def _report(self, record: Record, lost_because: str | None) -> None:
        self.reports.append((record, lost_because))


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server() as running:
        yield running


@pytest.fixture
def sending() -> Iterator[Callable[..., Sender]]:
    """Makes transports, and closes them."""
    made: list[Sender] = []

    def make(url: str, **settings: Any) -> Sender:
        made.append(Sender(url, **settings))
        return made[-1]

    yield make
    for sender in made:
        sender.transport.close(0.0)


def test_each_topic_has_its_path_and_all_go_over_one_connection(
    sending: Callable[..., Sender], server: AnsweringServer
) -> None:
    sender = sending(f"{server.url}/telemetry/", api_key="geheim")
    for topic in (topics.INFERENCES, topics.FEEDBACK, topics.TELEMETRY):
        sender.send(b'{"a":1}', b'{"a":2}', topic=topic)
    sender.settle()
    sender.transport.close(1.0)
    paths = [request.path for request in server.requests]
    assert paths == ["/telemetry/v1/events", "/telemetry/v1/feedback", "/telemetry/v1/telemetry"]
    assert {request.lines for request in server.requests} == {(b'{"a":1}', b'{"a":2}')}
    assert len({request.port for request in server.requests}) == 1
    headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer geheim"
    assert (headers["content-type"], headers["content-encoding"]) == ("application/x-ndjson", "gzip")
    assert sender.lost == {}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 301])
def test_what_is_refused_for_good_is_lost_at_once_and_the_next_record_goes_on(
    sending: Callable[..., Sender], server: AnsweringServer, status: int
) -> None:
    server.answers.append(Answer(status))
    sender = sending(server.url)
    sender.send(b"a", b"b")
    sender.send(b"c")
    sender.settle()
    assert sender.lost == dict.fromkeys([b"a", b"b"], f"the collector refused it with {status}")
    assert (sender.delivered, server.lines, len(server.requests)) == ([b"c"], [b"c"], 2)


def test_one_bad_event_harms_nobody(sending: Callable[..., Sender], server: AnsweringServer) -> None:
    server.decide = lambda request: Answer(422 if b"bad" in request.lines else 200)
    sender = sending(server.url)
    lines = [b"%d" % number for number in range(100)]
    sender.send(*lines[:40], b"bad", *lines[40:])
    sender.send(b"after")
    sender.settle()
    assert sender.lost == {b"bad": "the collector refused it with 422"}
    assert sender.delivered == server.lines == [*lines, b"after"]
    assert len({request.key for request in server.requests}) == len(server.requests)


def test_a_record_that_is_too_large_is_sent_in_parts(sending: Callable[..., Sender], server: AnsweringServer) -> None:
    server.decide = lambda request: Answer(413 if sum(map(len, request.lines)) > 10 else 200)
    sender = sending(server.url)
    sender.send(b"short", b"longer than that", b"a")
    sender.settle()
    assert sender.lost == {b"longer than that": "the collector refused it with 413"}
    assert sender.delivered == server.lines == [b"short", b"a"]


def test_a_pause_that_is_asked_for_is_kept(sending: Callable[..., Sender], server: AnsweringServer) -> None:
    server.answers.append(Answer(429, {"retry-after": "1"}))
    sender = sending(server.url)
    sender.send(b"a")
    sender.send(b"b")
    sender.settle()
    first, second, third = server.requests
    assert second.at - first.at >= 1.0
    assert (first.key, sender.delivered) == (second.key, [b"a", b"b"])
    assert third.key != first.key


def test_a_collector_that_is_busy_is_asked_again_with_the_same_key(
    sending: Callable[..., Sender], server: AnsweringServer
) -> None:
    server.answers.extend([Answer(503), Answer(500), Answer(408)])
    sender = sending(server.url)
    sender.send(b"a", b"b")
    sender.settle()
    assert len(server.requests) == 4
    assert len({request.key for request in server.requests}) == 1
    gaps = [later.at - earlier.at for earlier, later in zip(server.requests, server.requests[1:], strict=False)]
    assert gaps[0] >= 0.2
    assert gaps[2] >= 0.8
    assert sender.delivered == server.lines == [b"a", b"b"]


def test_what_was_taken_without_an_answer_is_taken_once(
    sending: Callable[..., Sender], server: AnsweringServer
) -> None:
    server.answers.extend([Answer(takes=True, leaves=True), Answer(503, leaves=True)])
    sender = sending(server.url)
    sender.send(b"a")
    sender.settle()
    assert len(server.requests) == 3
    assert sender.delivered == server.lines == [b"a"]


def test_an_idle_connection_that_was_closed_is_opened_anew(
    sending: Callable[..., Sender], server: AnsweringServer
) -> None:
    server.answers.extend([Answer(leaves_after=True), Answer(headers={"connection": "close"})])
    sender = sending(server.url)
    for line in (b"a", b"b", b"c"):
        sender.send(line)
        sender.settle()
    assert sender.delivered == server.lines == [b"a", b"b", b"c"]


def test_an_answer_without_end_is_not_read_to_it(sending: Callable[..., Sender], server: AnsweringServer) -> None:
    server.answers.append(Answer(body=b"x" * (4 << 20)))
    sender = sending(server.url)
    sender.send(b"a")
    sender.send(b"b")
    sender.settle()
    assert sender.delivered == server.lines == [b"a", b"b"]
    assert len({request.port for request in server.requests}) == 2


def test_one_that_never_answers_is_left_in_time_and_every_record_is_reported(
    sending: Callable[..., Sender], server: AnsweringServer
) -> None:
    never = threading.Event()
    server.decide = lambda _: Answer(waits=never, leaves=True)
    try:
        sender = sending(server.url)
        for line in (b"a", b"b", b"c"):
            sender.send(line)
        began = time.monotonic()
        sender.transport.close(0.5)
        assert time.monotonic() - began < 2.0
        assert sender.lost == dict.fromkeys([b"a", b"b", b"c"], "not acknowledged before the end")
    finally:
        never.set()


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_drips_has_the_time_of_one_answer(
    sending: Callable[..., Sender], server: AnsweringServer, part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferwatch.http._REQUEST_SECONDS", 0.3)
    server.answers.append(Answer(200, {"content-length": "1000"}, drips=part))
    sender = sending(server.url, delivery_timeout=0.1)
    sender.send(b"a")
    sender.settle()
    assert sender.lost == {b"a": "no collector: TimeoutError"}
    assert len(server.requests) == 1


def test_what_a_slow_collector_is_asked_later_has_as_much_time(
    sending: Callable[..., Sender], server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HandClock(time.monotonic())
    monkeypatch.setattr("inferwatch.http.time", SimpleNamespace(monotonic=clock.now, sleep=time.sleep))
    allowed: list[float | None] = []

    def decide(_: Request) -> Answer:
        allowed.append(sender.transport._connection.timeout)
        clock.move(6.0)
        return Answer()

    server.decide = decide
    sender = sending(server.url)
    for number in range(3):
        sender.send(b"%d" % number)
    sender.transport.poll(0)
    assert (len(sender.delivered), len(server.requests)) == (2, 2)
    sender.transport.poll(0)
    assert (len(sender.delivered), len(server.requests)) == (3, 3)
    assert allowed == [10.0] * 3


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[fd00::abcd]", ("fd00::abcd", 80)),
        ("https://[2001:db8::5]", ("2001:db8::5", 443)),
        ("https://[2001:db8::5]:4318", ("2001:db8::5", 4318)),
        ("http://collector", ("collector", 80)),
    ],
)
def test_an_address_without_a_port_is_no_other(
    sending: Callable[..., Sender], url: str, address: tuple[str, int]
) -> None:
    connection = sending(url).transport._connection
    assert (connection.host, connection.port) == address


def test_the_end_does_not_wait_for_a_pause_that_is_longer(
    sending: Callable[..., Sender], server: AnsweringServer
) -> None:
    server.answers.append(Answer(503, {"retry-after": "20"}))
    sender = sending(server.url)
    sender.send(b"a")
    sender.transport.poll(0)
    began = time.monotonic()
    sender.transport.close(0.3)
    assert time.monotonic() - began < 2.0
    assert sender.lost == {b"a": "not acknowledged before the end"}


def test_the_end_sends_what_is_queued(sending: Callable[..., Sender], server: AnsweringServer) -> None:
    sender = sending(server.url)
    server.answers.append(Answer(503))
    for line in (b"a", b"b"):
        sender.send(line)
    sender.transport.close(20.0)
    assert sender.delivered == server.lines == [b"a", b"b"]


def test_without_a_collector_records_are_lost_when_their_time_is_over(sending: Callable[..., Sender]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sender = sending(f"http://127.0.0.1:{port}", delivery_timeout=0.5)
    sender.send(b"a")
    sender.send(b"b")
    sender.settle()
    assert sender.lost[b"a"] == "no collector: ConnectionRefusedError"
    assert sender.delivered == []


@pytest.mark.parametrize("url", ["http://.invalid", "http://" + "a" * 64 + ".invalid"])
def test_an_address_that_has_no_form_on_the_wire_loses_records_and_nothing_else(
    sending: Callable[..., Sender], url: str
) -> None:
    sender = sending(url, delivery_timeout=0.1)
    sender.send(b"a")
    sender.settle()
    sender.transport.close(0.1)
    assert list(sender.lost) == [b"a"]


def test_the_queue_is_bounded_in_records_and_in_bytes(sending: Callable[..., Sender], server: AnsweringServer) -> None:
    sender = sending(server.url)
    for number in range(64):
        sender.send(b"%d" % number)
    with pytest.raises(BufferError):
        sender.send(b"one too many")
    sender.settle()
    sender.send(b"x" * (40 << 20))
    with pytest.raises(BufferError):
        sender.send(b"beside a large one")
    sender.settle()
    assert len(sender.delivered) == 65


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_on_the_way_nothing_is_taken_twice(
    sending: Callable[..., Sender], server: AnsweringServer, seed: int
) -> None:
    chance = random.Random(seed)
    ways = [
        Answer(),
        Answer(503, {"retry-after": "0"}),
        Answer(503, {"retry-after": "0"}, takes=True),
        Answer(leaves=True, takes=True),
        Answer(429, {"retry-after": "0"}, leaves_after=True),
    ]
    alone = {b"bad%d" % number for number in range(12)}

    def decide(request: Request) -> Answer:
        if alone.intersection(request.lines):
            return Answer(422)
        attempts = sum(earlier.key == request.key for earlier in server.requests)
        return chance.choice(ways) if attempts < 2 else Answer()

    server.decide = decide
    sender = sending(server.url)
    for number in range(0, 12, 3):
        sender.send(*(b"%d" % (number + place) for place in range(3)), *([b"bad%d" % number] if number % 2 else []))
    sender.settle()
    assert sorted(sender.delivered) == sorted(server.lines)
    assert sorted(sender.delivered) == sorted(b"%d" % number for number in range(12))
    assert set(sender.lost) == {b"bad%d" % number for number in range(3, 12, 6)}


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AnsweringServer, Path]]:
    """A server with a certificate for `localhost`, and the authority that issued it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    with answering_server(folder / "cert.pem", folder / "key.pem") as running:
        yield running, folder / "ca.pem"


def test_a_certificate_is_checked_against_the_authority_that_is_given(
    sending: Callable[..., Sender], certified: tuple[AnsweringServer, Path]
) -> None:
    server, authority = certified
    sender = sending(f"https://localhost:{server.server_port}", ca_file=str(authority))
    sender.send(b"a")
    sender.settle()
    assert sender.delivered == [b"a"]
    sender.transport.close(1.0)


@pytest.mark.parametrize(("host", "trusted"), [("localhost", False), ("127.0.0.1", True)])
def test_nothing_is_said_to_one_that_is_not_trusted_or_another(
    sending: Callable[..., Sender], certified: tuple[AnsweringServer, Path], host: str, trusted: bool
) -> None:
    server, authority = certified
    before = len(server.requests)
    ca_file = str(authority) if trusted else None
    sender = sending(f"https://{host}:{server.server_port}", ca_file=ca_file, delivery_timeout=0.3, api_key="geheim")
    sender.send(b"a")
    sender.settle()
    assert sender.lost == {b"a": "no collector: SSLCertVerificationError"}
    assert len(server.requests) == before


def test_a_burst_before_the_end_arrives_as_a_whole(server: AnsweringServer) -> None:
    mirror = Mirror(collector_url=server.url, events_per_record=5, flush_timeout=30.0)
    for _ in range(1000):
        mirror.inference("m", "hello").end()
    mirror.close()
    stats = mirror.stats()
    assert (stats.delivered, stats.failed, stats.dropped, stats.waiting) == (1000, 0, 0, 0)
    assert len(server.lines) == 1000


def test_closing_does_not_wait_for_a_collector_that_never_answers(server: AnsweringServer) -> None:
    never = threading.Event()
    server.decide = lambda _: Answer(waits=never, leaves=True)
    mirror = Mirror(collector_url=server.url, flush_timeout=0.5, linger=0.0, delivery_timeout=1.0)
    try:
        mirror.inference("m", "hello").end()
        wait_for(lambda: bool(server.requests), "the first request")
        began = time.monotonic()
        mirror.close()
        assert time.monotonic() - began < 2.5
    finally:
        never.set()
    wait_for(lambda: mirror.stats().failed == 1, "the event to be counted as lost", 30.0)
