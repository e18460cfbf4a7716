"""What passed becomes the right event: gRPC methods."""

import contextlib
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from ingest.errors import ContentError
from ingest.sidecar.exchange import Capture, Exchange
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.parse import Defaults, parse
from ingest.sidecar.routes import grpc_route
from ingest.sidecar.tap import Outcome

DEFAULTS = Defaults()


def element(text: str) -> bytes:
    return len(text.encode()).to_bytes(4, "little") + text.encode()


def exchange(
    method: str,
    request: bytes,
    responses: list[tuple[float, bytes]],
    *,
    code: str = "OK",
    details: str = "",
    outcome: Outcome = "complete",
    most: int = 1 << 20,
) -> Exchange:
    route = grpc_route(f"/inference.GRPCInferenceService/{method}")
    assert route is not None
    given, made = Capture(most), Capture(most)
    given.add(10.0, request)
    for at, message in responses:
        made.add(at, message)
    return Exchange("id", route, {}, 5.0, 10.0, given, made, {}, code, details, outcome, 12.0)


def asked(text: str | None = "Hi") -> bytes:
    message = pb.ModelInferRequest(model_name="smollm2", id="r1")
    message.parameters["temperature"].double_param = 0.5
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    if text is None:
        message.inputs.add(name="x", datatype="FP32", shape=[2, 2])
        message.raw_input_contents.append(np.array([1, 2, 3, 6], "<f4").tobytes())
    else:
        message.inputs.add(name="text_input", datatype="BYTES", shape=[1])
        message.inputs.add(name="max_tokens", datatype="INT32", shape=[1])
        message.raw_input_contents.extend([element(text), (8).to_bytes(4, "little")])
    return bytes(message.SerializeToString())


def streamed(text: str, tokens: int, reason: str = "", *, error: str = "") -> bytes:
    message = pb.ModelStreamInferResponse(error_message=error)
    if not error:
        inner = message.infer_response
        inner.model_name, inner.model_version, inner.id = "smollm2", "1", "r1"
        inner.outputs.add(name="text_output", datatype="BYTES", shape=[1])
        inner.outputs.add(name="finish_reason", datatype="BYTES", shape=[1])
        inner.outputs.add(name="num_input_tokens", datatype="UINT32", shape=[1])
        inner.outputs.add(name="num_output_tokens", datatype="UINT32", shape=[1])
        numbers = [value.to_bytes(4, "little") for value in (5, tokens)]
        inner.raw_output_contents.extend([element(text), element(reason), *numbers])
    return bytes(message.SerializeToString())


def final() -> bytes:
    message = pb.ModelStreamInferResponse()
    message.infer_response.model_name = "smollm2"
    message.infer_response.id = "r1"
    message.infer_response.parameters["triton_final_response"].bool_param = True
    return bytes(message.SerializeToString())


def test_a_unary_inference_of_tensors() -> None:
    response = pb.ModelInferResponse(model_name="smollm2", model_version="2", id="r1")
    response.outputs.add(name="y", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1.0, 3.0])
    event = parse(exchange("ModelInfer", asked(None), [(11.0, response.SerializeToString())]), DEFAULTS)
    assert [(item.name, item.shape, item.mean) for item in event.input_tensors] == [("x", (2, 2), 3.0)]
    assert [(item.name, item.shape, item.mean) for item in event.output_tensors] == [("y", (2,), 2.0)]
    assert (event.source, event.operation, event.model_version) == ("sidecar-grpc", "infer", "2")
    assert (event.duration, event.stream, event.time_to_first_token) == (2.0, False, None)


def test_a_streamed_inference_joins_its_responses() -> None:
    responses = [
        (10.2, streamed("", 0)),
        (10.5, streamed("Hel", 1)),
        (11.0, streamed("lo", 2, "stop")),
        (11.1, final()),
    ]
    event = parse(exchange("ModelStreamInfer", asked(), responses), DEFAULTS)
    assert [message.parts[0].content for message in (*event.input_messages, *event.output_messages)] == ["Hi", "Hello"]
    assert event.time_to_first_token == pytest.approx(0.5)
    assert (event.input_tokens, event.output_tokens, event.finish_reasons) == (5, 3, ("stop",))
    assert event.parameters == {"max_tokens": 8, "temperature": 0.5}
    assert (event.request_model, event.model_version, event.response_id) == ("smollm2", "1", "r1")
    assert event.stream
    assert event.status == "ok"


def test_an_error_in_a_stream_is_an_error() -> None:
    responses = [(10.5, streamed("Hel", 1)), (10.6, streamed("", 0, error="out of memory"))]
    event = parse(exchange("ModelStreamInfer", asked(), responses), DEFAULTS)
    assert (event.status, event.error_type, event.error_message) == ("error", "stream_error", "out of memory")


def test_a_status_is_an_error_with_its_details() -> None:
    event = parse(exchange("ModelInfer", asked(), [], code="NOT_FOUND", details="no such model"), DEFAULTS)
    assert (event.status, event.error_type, event.error_message) == ("error", "NOT_FOUND", "no such model")
    assert event.request_model == "smollm2"


def test_a_client_that_cancels_keeps_what_was_seen() -> None:
    seen = exchange("ModelStreamInfer", asked(), [(10.5, streamed("Hel", 1))], code="CANCELLED", outcome="client_gone")
    event = parse(seen, DEFAULTS)
    assert event.status == "cancelled"
    assert event.output_messages[0].parts[0].content == "Hel"
    assert event.output_tokens is None


def test_shared_memory_has_no_content_and_does_not_shift_the_others() -> None:
    message = pb.ModelInferRequest(model_name="m")
    shared = message.inputs.add(name="a", datatype="FP32", shape=[4])
    shared.parameters["shared_memory_region"].string_param = "region"
    message.inputs.add(name="b", datatype="FP32", shape=[2])
    message.raw_input_contents.append(np.array([7, 7], "<f4").tobytes())
    event = parse(exchange("ModelInfer", message.SerializeToString(), []), DEFAULTS)
    assert event.content_unavailable
    assert [(item.name, item.mean) for item in event.input_tensors] == [("a", None), ("b", 7.0)]


def test_a_tensor_beyond_the_capture_keeps_its_description() -> None:
    message = pb.ModelInferRequest(model_name="m", raw_input_contents=[b"\0" * 4_000])
    message.inputs.add(name="x", datatype="FP32", shape=[1_000])
    event = parse(exchange("ModelInfer", message.SerializeToString(), [], most=200), DEFAULTS)
    assert event.content_unavailable
    assert [(item.name, item.count, item.mean) for item in event.input_tensors] == [("x", 1_000, None)]
    assert event.attributes["inferwatch.capture.cut"] == "request"


def test_messages_that_unfold_share_one_bound() -> None:
    most = 10_000
    message = pb.ModelStreamInferResponse.FromString(streamed("x" * 8_000, 1))
    packed = gzip.compress(message.SerializeToString())
    seen = exchange("ModelStreamInfer", asked(), [], most=most)
    seen.response_headers = {"grpc-encoding": "gzip"}
    for number in range(5):
        seen.response.add_message(10.5 + number, GrpcMessage(packed, len(packed), True), "gzip")
    event = parse(seen, DEFAULTS)
    (answer,) = event.output_messages
    assert answer.parts[0].content is not None
    assert 16_000 <= len(answer.parts[0].content) <= 2 * most
    assert (event.content_unavailable, event.output_tokens) == (True, None)
    assert event.response_model == "smollm2"


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from(["ModelInfer", "ModelStreamInfer"]))
def test_arbitrary_messages_are_an_event_or_a_content_error(request: bytes, response: bytes, method: str) -> None:
    seen = exchange(method, request, [(11.0, response)])
    with contextlib.suppress(ContentError):
        assert parse(seen, DEFAULTS).event_id == "id"
