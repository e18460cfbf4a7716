"""A gRPC connection as its frames tell it: what each call said, how it ended, and what both sides got."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sidecar.budget import Budget, Keeping
from ingest.sidecar.grpc_call import CODES
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.grpc_refusal import unavailable
from ingest.sidecar.grpc_watch import GrpcWatch
from ingest.sidecar.h2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
)
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import HttpObserver, Outcome
from tests.unit.sidecar.h2_streams import Encoding, Receiving, blocks_in, cut, split_frames

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ADDED = (("x-inferwatch-event-id", "e1"),)
HELLO = b"\x00\x00\x00\x00\x05Hello"
SERVED = frame(SETTINGS, 0, 0)
ANSWER: Headers = ((":status", "200"), ("content-type", "application/grpc"))


class SetClock:
    """A clock that goes as far as it is told."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return 1_000.0 + self.at

    def elapsed(self) -> float:
        return self.at


class Call:
    """What is told about one call; raises where its tap says so."""

    added_metadata: Headers = ADDED

    def __init__(self, fails_at: str) -> None:
        self.told: list[tuple[str, object]] = []
        self._fails_at = fails_at

    @property
    def ending(self) -> object:
        """How the call ended: outcome, code and details."""
        return self.told[-1][1] if self.told and self.told[-1][0] == "end" else None

    def _tell(self, what: str, said: object) -> None:
        if what == self._fails_at:
            raise ZeroDivisionError
        self.told.append((what, said))

    def request(self, at: float, message: GrpcMessage) -> None:
        self._tell("request", message)

    def response_head(self, headers: Headers) -> None:
        self._tell("head", headers)

    def response(self, at: float, message: GrpcMessage) -> None:
        self._tell("response", message)

    def end(self, at: float, outcome: Outcome, code: str, details: str) -> None:
        self._tell("end", (outcome, code, details))


class Calls:
    """A tap that watches inferences."""

    def __init__(self, fails_at: str = "") -> None:
        self.made: list[Call] = []
        self._fails_at = fails_at

    def http(self, at: float, head: object) -> HttpObserver | None:
        return None

    def grpc(self, at: float, method: str, metadata: Headers) -> Call | None:
        if self._fails_at == "begin":
            raise ZeroDivisionError
        if method != METHOD:
            return None
        self.made.append(Call(self._fails_at))
        return self.made[-1]


class Connection:
    """Both ends of a connection with a watch between them."""

    def __init__(self, fails_at: str = "", *, strip: bool = False) -> None:
        self.clock, self.counters, self.tap = SetClock(), Counters(), Calls(fails_at)
        self.watch = GrpcWatch(self.tap, self.clock, self.counters, Keeping(1 << 20, Budget(1 << 30)), strip=strip)
        self.client, self.upstream = Encoding(), Encoding()

    def begin(self, stream: int = 1, *headers: tuple[str, str], method: str = METHOD) -> bytes:
        """Return how a client begins a call."""
        pseudo = [(":method", "POST"), (":path", method), ("te", "trailers")]
        return frame(HEADERS, END_HEADERS, stream, self.client.block([*pseudo, *headers]))

    def answer(self, stream: int, headers: Headers, *, ends: bool = False) -> bytes:
        """Return a block of headers of a response."""
        flags = END_HEADERS | (END_STREAM if ends else 0)
        return frame(HEADERS, flags, stream, self.upstream.block(list(headers)))

    def ask(self, data: bytes) -> bytes:
        return b"".join(self.watch.request(data))

    def say(self, data: bytes) -> bytes:
        return b"".join(self.watch.response(data))

    def asked(self, *headers: tuple[str, str]) -> Call:
        """Begin a call with one message and return what was told about it."""
        self.ask(PREFACE + frame(SETTINGS, 0, 0) + self.begin(1, *headers) + frame(DATA, END_STREAM, 1, HELLO))
        self.say(SERVED)
        return self.tap.made[0]


def test_a_call_is_told_from_its_request_to_its_trailers() -> None:
    it = Connection()
    call = it.asked()
    head = it.say(it.answer(1, ANSWER))
    content = frame(DATA, 0, 1, HELLO + HELLO)
    assert it.say(content) == content
    trailers = it.answer(1, (("grpc-status", "5"), ("grpc-message", "no%20model%C3%A9")), ends=True)
    assert it.say(trailers) == trailers
    assert call.told == [
        ("request", GrpcMessage(b"Hello", 5)),
        ("head", ANSWER),
        ("response", GrpcMessage(b"Hello", 5)),
        ("response", GrpcMessage(b"Hello", 5)),
        ("end", ("complete", "NOT_FOUND", "no modelé")),
    ]
    assert Receiving().read(blocks_in(head)[0][1]) == ANSWER + ADDED
    assert not it.watch.busy


@pytest.mark.parametrize(
    ("trailers", "code", "details"),
    [
        *(((("grpc-status", str(number)),), name, "") for number, name in enumerate(CODES)),
        ((("grpc-status", "99"),), "UNKNOWN", ""),
        ((("grpc-status", "9" * 5_000),), "UNKNOWN", ""),
        ((("grpc-status", "²"),), "UNKNOWN", "the server ended the stream without a status"),
        ((("grpc-status", ""),), "UNKNOWN", "the server ended the stream without a status"),
        ((("x-other", "1"),), "UNKNOWN", "the server ended the stream without a status"),
    ],
)
def test_trailers_say_how_a_call_ended(trailers: Headers, code: str, details: str) -> None:
    it = Connection()
    call = it.asked()
    it.say(it.answer(1, ANSWER) + it.answer(1, trailers, ends=True))
    assert call.ending == ("complete", code, details)
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 0


def test_headers_that_are_trailers_too_get_the_added_header() -> None:
    it = Connection()
    call = it.asked()
    sent = (*ANSWER, ("grpc-status", "12"), ("grpc-message", "no such method"))
    passed = it.say(it.answer(1, sent, ends=True))
    ((_, flags, stream, _),) = split_frames(passed)
    assert (flags, stream) == (END_HEADERS | END_STREAM, 1)
    assert Receiving().read(blocks_in(passed)[0][1]) == sent + ADDED
    assert call.ending == ("complete", "UNIMPLEMENTED", "no such method")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("400", "INTERNAL"),
        ("401", "UNAUTHENTICATED"),
        ("404", "UNIMPLEMENTED"),
        ("503", "UNAVAILABLE"),
        ("418", "UNKNOWN"),
    ],
)
@pytest.mark.parametrize("trailers_only", [True, False])
def test_an_http_status_stands_where_grpc_says_none(status: str, code: str, trailers_only: bool) -> None:
    it = Connection()
    call = it.asked()
    it.say(it.answer(1, ((":status", status),), ends=trailers_only))
    it.say(b"" if trailers_only else frame(DATA, END_STREAM, 1, b"<html>"))
    assert call.ending == ("complete", code, f"the server answered with HTTP status {status}")


def test_a_stream_that_ends_with_content_has_no_status() -> None:
    it = Connection()
    call = it.asked()
    it.say(it.answer(1, ANSWER) + frame(DATA, END_STREAM, 1, HELLO))
    assert call.ending == ("complete", "UNKNOWN", "the server ended the stream without a status")


@pytest.mark.parametrize(
    ("error", "code"), [(0x2, "INTERNAL"), (0x7, "UNAVAILABLE"), (0x8, "CANCELLED"), (0xB, "RESOURCE_EXHAUSTED")]
)
def test_a_stream_that_upstream_resets_ends_with_the_code_that_a_client_makes_of_it(error: int, code: str) -> None:
    it = Connection()
    call = it.asked(("grpc-timeout", "10S"))
    reset = frame(RST_STREAM, 0, 1, error.to_bytes(4, "big"))
    assert it.say(it.answer(1, ANSWER) + frame(DATA, 0, 1, HELLO[:7]) + reset).endswith(reset)
    assert call.told[-2] == ("response", GrpcMessage(b"He", 5))
    assert call.ending == ("complete", code, f"the server reset the stream with error code {error}")


@pytest.mark.parametrize(
    ("timeout", "seconds", "passed"),
    [
        ("200m", 0.1995, True),
        ("200m", 0.1, False),
        ("30S", 29.72, True),
        ("30S", 20.0, False),
        ("1H", 3_600.0, True),
        ("500000u", 0.5, True),
        ("2M", 119.9, True),
        ("forever", 1e9, False),
        ("123456789S", 1e9, False),
    ],
)
@pytest.mark.parametrize("by_upstream", [True, False])
def test_a_call_that_ends_at_its_deadline_is_told_from_one_that_is_cancelled(
    timeout: str, seconds: float, passed: bool, by_upstream: bool
) -> None:
    it = Connection()
    call = it.asked(("grpc-timeout", timeout))
    it.clock.at = seconds
    (it.say if by_upstream else it.ask)(frame(RST_STREAM, 0, 1, b"\x00\x00\x00\x08"))
    cancelled = (
        ("complete", "CANCELLED", "the server reset the stream with error code 8")
        if by_upstream
        else ("client_gone", "CANCELLED", "")
    )
    assert call.ending == (("complete", "DEADLINE_EXCEEDED", "the client's deadline passed") if passed else cancelled)


def test_a_client_that_leaves_leaves_its_calls_with_what_was_seen() -> None:
    it = Connection()
    call = it.asked()
    it.say(it.answer(1, ANSWER) + frame(DATA, 0, 1, HELLO + HELLO[:8]))
    it.watch.client_gone()
    assert call.told[-3:] == [
        ("response", GrpcMessage(b"Hello", 5)),
        ("response", GrpcMessage(b"Hel", 5)),
        ("end", ("client_gone", "CANCELLED", "")),
    ]
    assert it.counters["inferwatch_sidecar_client_gone_total"] == 1


def test_an_upstream_that_leaves_leaves_its_calls_unavailable() -> None:
    it = Connection()
    call = it.asked()
    it.watch.upstream_gone()
    assert call.ending == (
        "upstream_gone",
        "UNAVAILABLE",
        "the connection to the server ended before the response did",
    )
    assert it.counters["inferwatch_sidecar_upstream_errors_total"] == 1


def test_frames_of_a_call_that_has_ended_begin_no_other() -> None:
    it = Connection()
    it.asked()
    it.say(it.answer(1, (*ANSWER, ("grpc-status", "0")), ends=True))
    late = frame(DATA, END_STREAM, 1, HELLO) + it.begin(1)
    assert it.ask(late) == late
    assert len(it.tap.made) == 1
    assert not it.watch.busy


@pytest.mark.parametrize("fails_at", ["begin", "request", "head", "response", "end"])
def test_an_observer_that_fails_costs_its_own_call_and_no_byte(fails_at: str) -> None:
    it = Connection(fails_at)
    asked = PREFACE + it.begin() + frame(DATA, END_STREAM, 1, HELLO)
    assert it.ask(asked) == asked
    answers = [it.answer(1, ANSWER), frame(DATA, 0, 1, HELLO), it.answer(1, (("grpc-status", "0"),), ends=True)]
    passed = b"".join(it.say(part) for part in answers)
    assert Receiving().read(blocks_in(passed)[0][1])[:2] == ANSWER
    assert passed.endswith(b"".join(answers[1:]))
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 1
    assert it.counters["inferwatch_sidecar_unreadable_connections_total"] == 0
    assert not it.watch.busy


@given(
    st.lists(st.tuples(st.sampled_from([METHOD, "/other.Service/Do"]), st.booleans()), min_size=1, max_size=8),
    st.lists(st.integers(0, 5_000), max_size=16),
    st.booleans(),
)
def test_calls_of_one_connection_keep_both_header_tables_whole(
    calls: list[tuple[str, bool]], places: list[int], strip: bool
) -> None:
    it = Connection(strip=strip)
    asked, answered = PREFACE, SERVED
    for number, (method, only) in enumerate(calls):
        stream = 2 * number + 1
        mine = (("x-inferwatch-team", "ads"), ("x-number", str(number % 3)))
        asked += it.begin(stream, *mine, method=method) + frame(DATA, END_STREAM, stream, HELLO)
        if not only:
            answered += it.answer(stream, (*ANSWER, ("x-same", "v"))) + frame(DATA, 0, stream, HELLO)
        answered += it.answer(stream, (*(ANSWER if only else ()), ("grpc-status", "0")), ends=True)
    to_upstream = b"".join(it.ask(piece) for piece in cut(asked, places))
    to_client = b"".join(it.say(piece) for piece in cut(answered, places))
    at_upstream, at_client, as_sent = Receiving(), Receiving(), Receiving()
    for number, (_, block) in enumerate(blocks_in(to_upstream[len(PREFACE) :])):
        got = at_upstream.read(block)
        assert got[-1] == ("x-number", str(number % 3))
        assert (("x-inferwatch-team", "ads") in got) is not strip
    if not strip:
        assert to_upstream == asked
    first_of: set[int] = set()
    for (stream, block), (_, sent) in zip(blocks_in(to_client), blocks_in(answered), strict=True):
        watched = calls[stream // 2][0] == METHOD and stream not in first_of
        assert at_client.read(block) == as_sent.read(sent) + (ADDED if watched else ())
        first_of.add(stream)
    assert not it.watch.busy
    assert it.counters["inferwatch_sidecar_grpc_calls_total"] == len(calls)


@given(st.binary(max_size=200), st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=6))
def test_bytes_that_are_not_http2_pass_in_both_directions(up: bytes, down: bytes, places: list[int]) -> None:
    it = Connection()
    sent = PREFACE[:10] + b"\x00" + up
    assert b"".join(it.ask(piece) for piece in cut(sent, places)) == sent
    assert b"".join(it.say(piece) for piece in cut(down, places)) == down
    assert it.counters["inferwatch_sidecar_unreadable_connections_total"] == 1
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 0
    assert not it.watch.broken


def test_headers_that_are_not_hpack_end_what_is_watched_and_nothing_else() -> None:
    it = Connection()
    call = it.asked()
    bad = frame(HEADERS, END_HEADERS, 3, b"\xff\xff\xff\xff\xff")
    held = it.answer(1, ANSWER)[:-3]
    assert it.say(held) == b""
    assert it.ask(bad) == bad
    assert call.ending == ("unreadable", "", "")
    assert it.say(b"rest") == held + b"rest"
    assert it.counters["inferwatch_sidecar_observer_errors_total"] == 0


def test_a_connection_whose_headers_cannot_be_stripped_any_more_is_broken() -> None:
    it = Connection(strip=True)
    it.asked()
    assert not it.watch.broken
    it.ask(frame(CONTINUATION, END_HEADERS, 3, b""))
    assert it.watch.broken


def goaways(data: bytes) -> list[int]:
    return [int.from_bytes(payload[:4], "big") for kind, _, _, payload in split_frames(data) if kind == GOAWAY]


def test_a_farewell_lets_calls_go_on_and_then_names_the_last_one_that_was_taken() -> None:
    it = Connection()
    it.asked()
    assert goaways(it.watch.farewell()) == [2**31 - 1]
    assert it.watch.farewell() == b""
    it.ask(it.begin(5))
    it.say(it.answer(1, (("grpc-status", "0"),), ends=True))
    assert it.watch.farewell() == b""
    it.say(it.answer(5, (("grpc-status", "0"),), ends=True))
    assert goaways(it.watch.farewell()) == [5]
    assert it.watch.farewell() == b""


def test_a_farewell_waits_for_the_end_of_a_frame_and_for_the_first_one() -> None:
    it = Connection()
    it.ask(PREFACE + it.begin())
    assert it.watch.farewell() == b""
    assert it.say(SERVED[:5]) == b""
    assert it.watch.unanswered
    assert it.watch.farewell() == b""
    it.say(SERVED[5:] + it.answer(1, ANSWER) + frame(DATA, 0, 1, HELLO)[:12])
    assert not it.watch.unanswered
    assert it.watch.farewell() == b""
    it.say(frame(DATA, 0, 1, HELLO)[12:])
    assert goaways(it.watch.farewell()) == [2**31 - 1]


def test_calls_that_cannot_be_served_are_each_told_why() -> None:
    it = Connection()
    it.ask(PREFACE + it.begin(1) + it.begin(3) + frame(PING, 0, 0, bytes(8)))
    first = b"".join(it.watch.refuse("down: 100% é"))
    receiver = Receiving()
    answers = [(stream, dict(receiver.read(block))) for stream, block in blocks_in(first)]
    assert [kind for kind, *_ in split_frames(first)] == [SETTINGS, SETTINGS, HEADERS, HEADERS, GOAWAY]
    assert [stream for stream, _ in answers] == [1, 3]
    for _, headers in answers:
        assert (headers["grpc-status"], headers["grpc-message"]) == ("14", "down: 100%25 %C3%A9")
        assert headers["x-inferwatch-event-id"] == "e1"
    assert [call.ending for call in it.tap.made] == [("complete", "UNAVAILABLE", "down: 100% é")] * 2
    assert it.watch.refuse("down") == []
    it.ask(it.begin(5))
    assert blocks_in(b"".join(it.watch.refuse("down")))[0][0] == 5
    assert it.counters["inferwatch_sidecar_upstream_errors_total"] == 3


def test_a_refusal_is_headers_that_are_trailers_too() -> None:
    ((kind, flags, stream, _),) = split_frames(unavailable(7, "because"))
    assert (kind, flags, stream) == (HEADERS, END_HEADERS | END_STREAM, 7)
