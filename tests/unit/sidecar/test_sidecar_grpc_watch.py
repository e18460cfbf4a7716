"""A gRPC connection as its frames tell it: what each call said and how it ended."""

from __future__ import annotations

import pytest

from ingest.sidecar.grpc_call import CODES
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.grpc_refusal import goaway
from ingest.sidecar.h2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    RST_STREAM,
    frame,
)
from ingest.sidecar.h2_headers import Headers
from tests.unit.sidecar.grpc_calls import ADDED, ANSWER, HELLO, Connection
from tests.unit.sidecar.h2_streams import Receiving, blocks_in, split_frames


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


def test_calls_that_upstream_says_it_did_not_take_are_none() -> None:
    it = Connection()
    first = it.asked()
    it.ask(it.begin(3) + frame(DATA, END_STREAM, 3, HELLO))
    leaving = goaway(2**31 - 1) + goaway(1)
    assert it.say(leaving) == leaving
    assert [call.ending for call in it.tap.made] == [None, ("unprocessed", "", "")]
    late = it.begin(5)
    assert it.ask(late) == late
    assert len(it.tap.made) == 2
    it.say(it.answer(1, (*ANSWER, ("grpc-status", "0")), ends=True))
    assert first.ending == ("complete", "OK", "")
    assert not it.watch.busy
    it.watch.client_gone()
    assert it.counters["inferwatch_sidecar_client_gone_total"] == 0


def test_frames_of_a_call_that_has_ended_begin_no_other() -> None:
    it = Connection()
    it.asked()
    it.say(it.answer(1, (*ANSWER, ("grpc-status", "0")), ends=True))
    late = frame(DATA, END_STREAM, 1, HELLO) + it.begin(1)
    assert it.ask(late) == late
    assert len(it.tap.made) == 1
    assert not it.watch.busy
