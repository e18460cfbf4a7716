"""A gRPC connection that is watched: what both sides get, whatever passes and whoever fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sidecar.grpc_refusal import unavailable
from ingest.sidecar.h2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    frame,
)
from tests.unit.sidecar.grpc_calls import ADDED, ANSWER, HELLO, METHOD, SERVED, Connection
from tests.unit.sidecar.h2_streams import Receiving, blocks_in, cut, split_frames


@pytest.mark.parametrize("fails_at", ["begin", "request", "head", "response", "end"])
def test_an_observer_that_fails_costs_its_own_call_and_no_byte(fails_at: str) -> None:
    it = Connection(fails_at)
    asked = PREFACE + it.begin() + frame(DATA, END_STREAM, 1, HELLO)
    assert it.ask(asked) == asked
    answers = [it.answer(1, ANSWER), frame(DATA, 0, 1, HELLO), it.answer(1, (("grpc-status", "0"),), ends=True)]
    passed = b"".join(it.say(part) for part in answers)
    assert Receiving().read(blocks_in(passed)[0][1])[:2] == ANSWER
    assert passed.endswith(b"".join(answers[1:]))
    if fails_at in ("request", "head", "response"):
        assert it.tap.made[0].ending == ("unreadable", "", "")
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
