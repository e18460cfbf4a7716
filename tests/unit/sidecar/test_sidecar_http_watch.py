"""An HTTP connection as its bytes tell it: requests paired with responses, whoever leaves, however it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.clock import SystemClock
from ingest.sidecar.http_head import Head
from ingest.sidecar.http_watch import HttpWatch
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import GrpcObserver, Outcome
from tests.unit.sidecar.h2_streams import cut

ADDED = b"x-inferwatch-event-id: e1\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MARKED = b"HTTP/1.1 200 OK\r\n" + ADDED + b"Content-Length: 2\r\n\r\nok"


class Request:
    """What is told about one request; what comes for `/fails` raises."""

    added_headers = ADDED

    def __init__(self, target: str) -> None:
        self.target, self.asked, self.answered = target, b"", b""
        self.status: int | None = None
        self.outcome: Outcome | None = None

    def request_part(self, data: memoryview) -> None:
        if self.target == "/fails":
            raise ZeroDivisionError
        self.asked += data

    def response_head(self, status: int, head: Head) -> None:
        self.status = status

    def response_part(self, at: float, data: memoryview) -> None:
        self.answered += data

    def end(self, at: float, outcome: Outcome) -> None:
        assert self.outcome is None
        self.outcome = outcome
        if self.target == "/fails-at-its-end":
            raise ZeroDivisionError


class Requests:
    """A tap that watches what is posted."""

    def __init__(self) -> None:
        self.made: list[Request] = []

    def http(self, at: float, head: Head) -> Request | None:
        if head.start[0] != "POST":
            return None
        self.made.append(Request(head.start[1]))
        return self.made[-1]

    def grpc(self, at: float, method: str, metadata: object) -> GrpcObserver | None:
        return None


class Connection:
    """A watch with what it counts and tells."""

    def __init__(self) -> None:
        self.tap, self.counters = Requests(), Counters()
        self.watch = HttpWatch(self.tap, SystemClock(), self.counters)

    def ask(self, data: bytes) -> bytes:
        return b"".join(self.watch.request(data))

    def say(self, data: bytes) -> bytes:
        return b"".join(self.watch.response(data))

    @property
    def outcomes(self) -> list[Outcome | None]:
        return [request.outcome for request in self.tap.made]


def post(target: str, body: bytes = b"hi") -> bytes:
    return f"POST {target} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@given(
    st.lists(st.tuples(st.sampled_from([b"POST", b"GET", b"HEAD"]), st.booleans(), st.booleans()), max_size=6),
    st.lists(st.integers(0, 1_000), max_size=10),
    st.lists(st.integers(0, 1_000), max_size=10),
)
def test_pipelined_requests_get_their_own_responses_however_both_are_cut(
    exchanges: list[tuple[bytes, bool, bool]], asked_at: list[int], answered_at: list[int]
) -> None:
    it = Connection()
    asked = answered = expected = b""
    for number, (method, chunked, interim) in enumerate(exchanges):
        body = b"" if method == b"HEAD" else b"%d" % number
        length = b"Transfer-Encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\n\r\n" % number
        head = b"HTTP/1.1 200 OK\r\n"
        rest = length if chunked and body else b"Content-Length: 1\r\n\r\n" + body
        before = b"HTTP/1.1 100 Continue\r\n\r\n" if interim else b""
        asked += method + b" /%d HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % (number, number)
        answered += before + head + rest
        expected += before + head + (ADDED if method == b"POST" else b"") + rest
    assert b"".join(it.ask(piece) for piece in cut(asked, asked_at)) == asked
    assert b"".join(it.say(piece) for piece in cut(answered, answered_at)) == expected
    posted = [str(number).encode() for number, (method, *_) in enumerate(exchanges) if method == b"POST"]
    told = [(request.asked, request.answered, request.status, request.outcome) for request in it.tap.made]
    assert told == [(body, body, 200, "complete") for body in posted]
    assert not it.watch.busy


@given(st.binary(max_size=300), st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6))
def test_arbitrary_bytes_pass_in_both_directions(up: bytes, down: bytes, places: list[int]) -> None:
    it = Connection()
    assert b"".join(it.ask(piece) for piece in cut(up, places)) == up
    assert b"".join(it.say(piece) for piece in cut(down, places)) == down
    it.watch.client_gone()
    it.watch.upstream_gone()
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 0


@pytest.mark.parametrize("status", [b"2" * 5_000, b"\xb2\xb2\xb2", b"-20", b"20"])
def test_a_status_that_is_no_number_is_no_error_of_the_observation(status: bytes) -> None:
    it = Connection()
    it.ask(post("/a"))
    it.say(b"HTTP/1.1 " + status + b" Odd\r\nContent-Length: 0\r\n\r\n")
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 0


@pytest.mark.parametrize("length", [b"9" * 5_000, b"\xb2", b"+1", b"1_0", b"0x1"])
def test_a_length_that_is_no_number_ends_what_can_be_followed(length: bytes) -> None:
    it = Connection()
    sent = b"POST /a HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"
    assert it.ask(sent) == sent
    assert it.counters["inferwatch_sidecar_unreadable_connections_total"] == 1
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 0


def test_a_connection_is_crowded_until_responses_come() -> None:
    it = Connection()
    it.ask(post("/a") * 64)
    assert it.watch.crowded
    it.say(OK)
    assert not it.watch.crowded
    it.say(OK * 63)
    assert not it.watch.busy
    assert it.outcomes == ["complete"] * 64


def test_a_client_that_leaves_leaves_everything_unanswered() -> None:
    it = Connection()
    it.ask(post("/a") + post("/b"))
    it.say(OK + OK[:-1])
    it.watch.client_gone()
    assert it.outcomes == ["complete", "client_gone"]
    assert it.tap.made[1].answered == b"o"
    assert it.counters["inferwatch_sidecar_client_gone_total"] == 1


def test_an_upstream_that_leaves_completes_a_response_without_a_length() -> None:
    it = Connection()
    it.ask(post("/a"))
    it.say(b"HTTP/1.1 200 OK\r\n\r\nall")
    assert it.watch.ends_with_connection
    it.watch.upstream_gone()
    assert it.outcomes == ["complete"]
    assert it.tap.made[0].answered == b"all"


def test_a_refusal_answers_once_with_the_reason() -> None:
    it = Connection()
    it.ask(post("/a", b"x" * 100)[:-50])
    assert it.watch.unanswered
    assert it.watch.uploading
    head, _, body = b"".join(it.watch.refuse('not "there"')).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n" + ADDED)
    assert json.loads(body) == {"error": 'not "there"'}
    assert it.watch.refuse("again") == []
    assert it.ask(b"x" * 50) == b""
    assert (it.tap.made[0].status, it.outcomes) == (502, ["complete"])


def test_a_refused_request_is_followed_until_all_of_it_is_here() -> None:
    it = Connection()
    it.ask(post("/a", b"x" * 100)[:-50])
    it.watch.refuse("down")
    assert it.outcomes == [None]
    assert it.ask(b"y" * 50 + post("/b")) == b""
    assert it.tap.made[0].asked == b"x" * 50 + b"y" * 50
    assert it.outcomes == ["complete"]
    assert it.ask(post("/c")) == b""
    it.watch.client_gone()
    assert it.outcomes == ["complete"]
    assert it.counters["inferwatch_sidecar_client_gone_total"] == 0


@pytest.mark.parametrize("leaving", ["client_gone", "upstream_gone"])
def test_a_refused_request_that_never_arrives_ends_with_its_connection(leaving: str) -> None:
    it = Connection()
    it.ask(post("/a") + post("/b", b"x" * 100)[:-50])
    it.watch.refuse("down")
    assert it.outcomes == ["complete", None]
    getattr(it.watch, leaving)()
    assert it.outcomes == ["complete", "upstream_gone"]


def test_an_upstream_that_breaks_off_completes_nothing() -> None:
    it = Connection()
    it.ask(post("/a"))
    it.say(b"HTTP/1.1 200 OK\r\n\r\nnot a")
    it.watch.upstream_gone(cut=True)
    assert it.outcomes == ["upstream_gone"]
    assert it.counters["inferwatch_sidecar_upstream_errors_total"] == 1


def test_an_observer_that_fails_at_its_end_does_not_reach_the_traffic() -> None:
    it = Connection()
    it.ask(post("/fails-at-its-end"))
    it.say(b"HTTP/1.1 200 OK\r\n\r\nall")
    it.watch.upstream_gone()
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 1


def test_observers_of_a_connection_that_is_watched_no_more_are_ended() -> None:
    it = Connection()
    asked = post("/a") + post("/fails") + post("/b")
    assert it.ask(asked) == asked
    assert [(request.target, request.outcome) for request in it.tap.made] == [
        ("/a", "unreadable"),
        ("/fails", "unreadable"),
    ]
    assert it.say(OK * 3) == OK * 3


def test_an_interim_response_is_not_yet_an_answer() -> None:
    it = Connection()
    it.ask(post("/a"))
    assert it.say(b"HTTP/1.1 100 Continue\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert it.watch.unanswered
    assert it.say(OK[:20]) == OK[:17] + ADDED + OK[17:20]
    assert not it.watch.unanswered
    assert it.say(OK[20:]) == OK[20:]
    assert it.outcomes == ["complete"]


def test_a_tunnel_passes_unwatched() -> None:
    it = Connection()
    it.ask(b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05Hello"
    assert it.say(upgraded) == upgraded
    assert it.ask(post("/a")) == post("/a")
    assert it.tap.made == []
    assert it.watch.busy


def test_only_responses_to_what_is_watched_get_a_header() -> None:
    it = Connection()
    it.ask(b"GET /v2 HTTP/1.1\r\n\r\n" + post("/a") + b"GET /v2 HTTP/1.1\r\n\r\n")
    assert it.say(OK * 3) == OK + MARKED + OK
