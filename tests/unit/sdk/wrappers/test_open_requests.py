"""Which request a response of a gRPC stream belongs to, and when a request has ended."""

from __future__ import annotations

from typing import Any

import tritonclient.grpc
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from inferwatch.wrappers import faults
from inferwatch.wrappers.triton_call import begin
from inferwatch.wrappers.triton_stream import OpenRequests
from tests.unit.sdk.wrappers.recorded import RecordedMirror


class Stream:
    """Requests that are open, and the mirror that hears of their ends."""

    def __init__(self) -> None:
        self.mirror = RecordedMirror()
        self.open = OpenRequests()

    def ask(self, request_id: str = "", model: str = "m", **more: Any) -> None:
        given = {"model_name": model, "inputs": [], "request_id": request_id, **more}
        self.open.add(begin(self.mirror, {"prompt_name": f"{len(self.mirror.asked)}"}, given, streamed=True))

    def respond(self, request_id: str = "", model: str = "m", *, final: bool | None = None, reason: str = "") -> Any:
        response = service_pb2.ModelInferResponse(model_name=model, id=request_id)
        if final is not None:
            response.parameters["triton_final_response"].bool_param = final
        for name, value in (("text_output", b"a"), ("finish_reason", reason.encode())):
            response.outputs.add(name=name, datatype="BYTES", shape=[1])
            response.raw_output_contents.append(len(value).to_bytes(4, "little") + value)
        before = response.SerializeToString(deterministic=True)
        self.open.respond(tritonclient.grpc.InferResult(response), None)
        assert response.SerializeToString(deterministic=True) == before

    def ended(self) -> list[tuple[str | None, str]]:
        """Which requests ended, counted from 0, and how."""
        return [(event.prompt_name, event.status) for event in self.mirror.events]


def test_responses_find_their_request_by_id_and_model() -> None:
    stream = Stream()
    for request_id, model in (("a", "m"), ("a", "n"), ("b", "m")):
        stream.ask(request_id, model)
    stream.respond("b", final=True)
    stream.respond("a", "n", final=False)
    stream.respond("a", "n", final=True)
    stream.respond("a", final=True)
    assert stream.ended() == [("2", "ok"), ("1", "ok"), ("0", "ok")]
    assert [event.output_messages[0].parts[0].content for event in stream.mirror.events] == ["a", "aa", "a"]


def test_requests_that_look_the_same_end_in_their_order() -> None:
    stream = Stream()
    stream.ask()
    stream.ask()
    stream.respond(final=True)
    stream.respond(final=True)
    assert stream.ended() == [("0", "ok"), ("1", "ok")]


def test_the_reason_for_the_end_is_the_end_where_no_flag_was_asked_for() -> None:
    stream = Stream()
    stream.ask()
    stream.respond(final=False, reason="stop")
    assert stream.ended() == [("0", "ok")]
    stream.respond(final=True)
    assert stream.ended() == [("0", "ok")]


def test_the_flag_that_was_asked_for_is_waited_for() -> None:
    stream = Stream()
    stream.ask(enable_empty_final_response=True)
    stream.respond(final=False, reason="stop")
    assert stream.ended() == []
    stream.respond(final=True)
    assert stream.ended() == [("0", "ok")]


def test_an_error_that_names_no_request_is_of_the_oldest_and_one_of_the_stream_of_all() -> None:
    stream = Stream()
    for request_id in ("a", "b", "c"):
        stream.ask(request_id)
    stream.open.respond(None, InferenceServerException("bad input"))
    assert stream.ended() == [("0", "error")]
    stream.open.respond(None, InferenceServerException("gone", status="StatusCode.UNAVAILABLE"))
    assert stream.ended() == [("0", "error"), ("1", "error"), ("2", "error")]
    assert [event.error_type for event in stream.mirror.events][1:] == ["UNAVAILABLE"] * 2


def test_the_end_of_a_stream_ends_what_was_answered_and_cancels_what_was_not() -> None:
    stream = Stream()
    stream.ask("a")
    stream.ask("b")
    stream.respond("b")
    stream.open.end_all(cancelled=False)
    assert stream.ended() == [("0", "cancelled"), ("1", "ok")]


def test_a_request_whose_end_nobody_said_lasted_until_its_last_response() -> None:
    stream = Stream()
    stream.ask()
    stream.mirror.clock.move(2)
    stream.respond(final=False)
    stream.mirror.clock.move(60)
    stream.open.end_all(cancelled=False)
    assert stream.mirror.event().duration == 2


def test_what_is_open_is_bounded() -> None:
    stream = Stream()
    for _ in range(4_100):
        stream.ask()
    assert stream.ended() == [(str(number), "cancelled") for number in range(4)]


def test_a_response_to_nothing_is_passed_over() -> None:
    before = faults()
    Stream().respond("unknown", final=True)
    assert faults() == before


@given(st.lists(st.tuples(st.sampled_from(["ask", "respond", "final", "error"]), st.sampled_from("ab"))))
def test_every_request_ends_exactly_once(steps: list[tuple[str, str]]) -> None:
    before, stream = faults(), Stream()
    for step, request_id in steps:
        if step == "ask":
            stream.ask(request_id)
        elif step == "error":
            stream.open.respond(None, InferenceServerException("bad"))
        else:
            stream.respond(request_id, final=step == "final")
    stream.open.end_all(cancelled=True)
    ended = [number for number, _ in stream.ended()]
    assert sorted(ended, key=lambda number: int(number or -1)) == [
        str(number) for number in range(len(stream.mirror.asked))
    ]
    assert faults() == before
