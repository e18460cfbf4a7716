"""One gRPC stream becomes one exchange per request."""

import gzip

from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from ingest.sidecar.exchange import Capture, Exchange, Route
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.protobuf import complete_prefix
from ingest.sidecar.stream_split import MAX_OPEN, StreamRecorder, read_response

ROUTE = Route("model_stream_infer", streamed=True)


def stream() -> tuple[StreamRecorder, list[Exchange]]:
    ended: list[Exchange] = []

    def begin(at: float, event_id: str | None) -> Exchange:
        return Exchange(event_id or f"made-at-{at:g}", ROUTE, {}, at, at, Capture(1 << 20), Capture(1 << 20))

    return StreamRecorder("first", begin, ended.append, lambda _: None, idle=10.0), ended


def respond(recorder: StreamRecorder, at: float, message: bytes) -> None:
    recorder.response(at, passed(message))


def asked(request_id: str) -> GrpcMessage:
    return passed(pb.ModelInferRequest(model_name="m", id=request_id).SerializeToString())


def passed(data: bytes) -> GrpcMessage:
    return GrpcMessage(data, len(data))


def answered(request_id: str, *, final: bool | None = None, error: str = "") -> bytes:
    message = pb.ModelStreamInferResponse(error_message=error)
    message.infer_response.id = request_id
    message.infer_response.model_name = "m"
    if final is not None:
        message.infer_response.parameters["triton_final_response"].bool_param = final
    return bytes(message.SerializeToString())


def test_interleaved_requests_are_told_apart_by_their_ids() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    recorder.request(2.0, asked("b"))
    respond(recorder, 3.0, answered("b", final=False))
    respond(recorder, 4.0, answered("a", final=False))
    respond(recorder, 5.0, answered("b", final=True))
    respond(recorder, 6.0, answered("a", final=True))
    assert [(item.event_id, item.started, item.ended, len(item.response.parts)) for item in ended] == [
        ("made-at-2", 2.0, 5.0, 2),
        ("first", 1.0, 6.0, 2),
    ]


def test_requests_without_ids_are_answered_in_their_order() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked(""))
    recorder.request(2.0, asked(""))
    respond(recorder, 3.0, answered(""))
    respond(recorder, 4.0, answered(""))
    assert [(item.started, item.ended) for item in ended] == [(1.0, 3.0), (2.0, 4.0)]


def test_an_error_ends_its_request() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    respond(recorder, 2.0, answered("a", error="no such model"))
    assert [item.ended for item in ended] == [2.0]


def test_a_request_without_a_final_mark_ends_with_its_last_response() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    respond(recorder, 2.0, answered("a", final=False))
    recorder.expire(11.0)
    assert ended == []
    recorder.expire(12.5)
    assert [item.ended for item in ended] == [2.0]


def test_the_next_request_of_the_same_id_ends_the_one_before() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked(""))
    respond(recorder, 2.0, answered("", final=False))
    recorder.request(3.0, asked(""))
    assert [(item.started, item.ended) for item in ended] == [(1.0, 2.0)]


def test_a_cancelled_stream_cancels_what_is_open() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    respond(recorder, 2.0, answered("a", final=False))
    recorder.end(5.0, "client_gone", "CANCELLED", "")
    assert [(item.ended, item.outcome, item.code) for item in ended] == [(5.0, "client_gone", "CANCELLED")]


def test_requests_that_are_never_answered_are_bounded() -> None:
    recorder, ended = stream()
    for number in range(MAX_OPEN + 3):
        recorder.request(float(number), asked(str(number)))
    assert [item.started for item in ended] == [0.0, 1.0, 2.0]


LARGE = 100_000


def large(request_id: str, *, final: bool | None) -> bytes:
    """Return a response most of which is a tensor."""
    message = pb.ModelStreamInferResponse.FromString(answered(request_id, final=final))
    message.infer_response.outputs.add(name="y", datatype="UINT8", shape=[LARGE])
    message.infer_response.raw_output_contents.append(bytes(LARGE))
    return bytes(message.SerializeToString())


@given(st.integers(100, LARGE), st.booleans())
def test_a_response_that_is_cut_answers_its_request(kept: int, final: bool) -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    recorder.request(2.0, asked("b"))
    whole = large("b", final=final)
    recorder.response(3.0, GrpcMessage(whole[:kept], len(whole)))
    recorder.end(9.0, "client_gone", "CANCELLED", "")
    found = {item.started: item for item in ended}
    assert (found[1.0].response.pieces, found[2.0].response.pieces) == (0, 1)
    assert not found[2.0].response.whole
    assert found[2.0].ended == (3.0 if final else 9.0)


def test_a_response_that_is_compressed_answers_its_request_however_large_it_is() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    recorder.request(2.0, asked("b"))
    recorder.response_head((("grpc-encoding", "gzip"),))
    for request_id in ("b", "a"):
        packed = gzip.compress(large(request_id, final=True))
        recorder.response(3.0, GrpcMessage(packed, len(packed), True))
    assert [(item.started, item.ended, item.response.whole) for item in ended] == [(2.0, 3.0, True), (1.0, 3.0, True)]


def test_a_response_of_which_nothing_is_here_is_of_the_oldest_request_and_not_its_end() -> None:
    recorder, ended = stream()
    recorder.request(1.0, asked("a"))
    recorder.request(2.0, asked("b"))
    recorder.response(3.0, GrpcMessage(b"", 1_000))
    assert ended == []
    recorder.expire(20.0)
    assert [(item.started, item.ended, item.response.whole) for item in ended] == [(1.0, 3.0, False)]


def test_a_response_nobody_asked_for_is_ignored() -> None:
    recorder, ended = stream()
    respond(recorder, 1.0, answered("a", final=True))
    assert ended == []


@given(st.text(max_size=20), st.sampled_from([None, True, False]), st.text(max_size=20))
def test_responses_are_read_as_protobuf_reads_them(request_id: str, final: bool | None, error: str) -> None:
    message = answered(request_id, final=final, error=error)
    assert read_response(message) == (request_id.encode(), final, bool(error))


@given(st.integers(0, 200))
def test_the_complete_part_of_a_cut_message_can_be_decoded(length: int) -> None:
    request = pb.ModelInferRequest(model_name="model", id="7", raw_input_contents=[b"x" * 50, b"y" * 50])
    whole = request.SerializeToString()
    cut = pb.ModelInferRequest.FromString(complete_prefix(whole[:length]))
    assert request.raw_input_contents[: len(cut.raw_input_contents)] == cut.raw_input_contents
    assert cut.model_name in ("", "model")


@given(st.binary(max_size=200))
def test_arbitrary_messages_never_raise(message: bytes) -> None:
    recorder, _ = stream()
    recorder.request(1.0, passed(message))
    respond(recorder, 2.0, message)
    recorder.end(3.0, "complete", "OK", "")
