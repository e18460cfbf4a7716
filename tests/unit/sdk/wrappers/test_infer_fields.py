"""From tritonclient's inputs and results to event fields, without a server; and as the sidecar has them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from inferwatch.events import Message, Part, TensorSummary, text_message
from inferwatch.infer_fields import InferAnswer, request_fields, request_messages
from inferwatch.tensors import summarise, with_summaries
from inferwatch.wrappers.tensors import Tensor, input_tensor, output_tensors
from ingest.sidecar import infer_fields as sidecar
from ingest.sidecar import tensors as sidecar_tensors
from tests.unit.sdk.events import event

NUMPY: dict[str, Any] = {"BYTES": np.object_, "INT32": np.int32, "FP32": np.float32, "BOOL": np.bool_}
PROTOCOLS = [tritonclient.http, tritonclient.grpc]


def made(protocol: Any, name: str, datatype: str, values: list[Any]) -> Tensor:
    tensor = protocol.InferInput(name, [len(values)], datatype)
    tensor.set_data_from_numpy(np.array(values, dtype=NUMPY[datatype]))
    return input_tensor(tensor)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_of_a_text_model(protocol: Any) -> None:
    inputs = [
        made(protocol, "text_input", "BYTES", [b"hi"]),
        made(protocol, "system_prompt", "BYTES", [b"be kind"]),
        made(protocol, "stream", "BOOL", [True]),
        made(protocol, "max_tokens", "INT32", [7]),
        made(protocol, "sampling_parameters", "BYTES", [b'{"temperature": 0.5}']),
        made(protocol, "embeddings", "FP32", [0.5, 0.25]),
    ]
    assert request_messages(inputs) == (text_message("system", "be kind"), text_message("user", "hi"))
    assert request_fields(inputs, {"tier": "gold"}) == {
        "operation": "text_completion",
        "parameters": {"max_tokens": 7, "temperature": 0.5, "tier": "gold"},
        "content_unavailable": False,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_of_another_model_is_summarised(protocol: Any) -> None:
    inputs = [made(protocol, "pixels", "FP32", [0.5] * 4), made(protocol, "names", "BYTES", [b"a", b"b"])]
    assert request_messages(inputs) == ()
    fields = request_fields(inputs, {})
    assert with_summaries(event(input_tensors=fields["input_tensors"])).input_tensors == (
        summarise("pixels", "FP32", (4,), np.array([0.5] * 4)),
        TensorSummary(name="names", datatype="BYTES", shape=(2,), count=2),
    )
    assert all(tensor.values is None for tensor in inputs)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ["text_input", "text", "pixels"])
def test_content_in_shared_memory_is_not_available(protocol: Any, name: str) -> None:
    tensor = protocol.InferInput(name, [1], "BYTES")
    tensor.set_shared_memory("region", 8)
    assert request_fields([input_tensor(tensor)], {})["content_unavailable"] is True


@pytest.mark.parametrize(
    ("datatype", "raw", "value"),
    [("INT8", b"\xff", -1), ("UINT16", b"\x01\x02", 513), ("FP16", b"\x00\x38", 0.5), ("BF16", b"\x00\x3f", 0.5)],
)
def test_single_numbers_of_any_type_are_read(datatype: str, raw: bytes, value: float) -> None:
    tensor = tritonclient.grpc.InferInput("temperature", [1], datatype)
    tensor._raw_content = raw
    assert input_tensor(tensor).values == (value,)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_texts_are_read_as_tritonclient_wrote_them(texts: list[str]) -> None:
    for protocol in PROTOCOLS:
        assert made(protocol, "text", "BYTES", [text.encode() for text in texts]).texts == tuple(texts)


def http_result(*outputs: dict[str, Any]) -> Any:
    body = json.dumps({"model_name": "m", "outputs": list(outputs)}).encode()
    return tritonclient.http.InferResult.from_response_body(body)


def grpc_result(*outputs: tuple[str, str, list[Any]]) -> Any:
    response = service_pb2.ModelInferResponse(model_name="m")
    for name, datatype, values in outputs:
        response.outputs.add(name=name, datatype=datatype, shape=[len(values)])
        if datatype == "BYTES":
            response.raw_output_contents.append(b"".join(len(v).to_bytes(4, "little") + v for v in values))
        else:
            response.raw_output_contents.append(np.array(values, dtype=NUMPY[datatype]).tobytes())
    return tritonclient.grpc.InferResult(response)


def test_an_answer_over_http_and_grpc() -> None:
    over_http = http_result(
        {"name": "text_output", "datatype": "BYTES", "shape": [1], "data": ["hello"]},
        {"name": "finish_reason", "datatype": "BYTES", "shape": [1], "data": ["stop"]},
        {"name": "num_output_tokens", "datatype": "INT32", "shape": [1], "data": [2]},
    )
    over_grpc = grpc_result(
        ("text_output", "BYTES", [b"hello"]), ("finish_reason", "BYTES", [b"stop"]), ("num_output_tokens", "INT32", [2])
    )
    for result in (over_http, over_grpc):
        answer = InferAnswer(prompted=True)
        assert answer.add(output_tensors(result))
        fields = answer.fields(whole=True)
        said = Message(role="assistant", parts=(Part(type="text", content="hello"),), finish_reason="stop")
        assert (fields["output_messages"], fields["finish_reasons"], fields["output_tokens"]) == ((said,), ("stop",), 2)


def test_an_output_in_shared_memory_is_not_asked_for() -> None:
    parameters = {"shared_memory_region": "r", "shared_memory_byte_size": 8}
    result = http_result({"name": "text_output", "datatype": "BYTES", "shape": [1], "parameters": parameters})
    answer = InferAnswer(prompted=True)
    assert not answer.add(output_tensors(result))
    assert answer.fields(whole=True)["content_unavailable"] is True


def test_summaries_of_outputs_are_bounded() -> None:
    answer = InferAnswer(prompted=False)
    for _ in range(1_000):
        answer.add([Tensor("scores", "FP32", (3,))])
    assert len(answer.fields(whole=True)["output_tensors"]) == 64


pieces = st.lists(
    st.tuples(st.text(max_size=5), st.sampled_from(["", "null", "stop"]), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=5,
)


@given(st.text(max_size=9), st.none() | st.text(max_size=9), st.none() | st.integers(0, 99), pieces, st.booleans())
def test_the_sidecar_says_the_same(
    prompt: str, system: str | None, most: int | None, answers: list[tuple[str, str, int, int]], whole: bool
) -> None:
    asked: list[tuple[str, str, Any]] = [("text_input", "BYTES", prompt)]
    asked += [("system_prompt", "BYTES", system)] if system is not None else []
    asked += [("max_tokens", "INT32", most)] if most is not None else []
    names = ("text_output", "finish_reason", "num_input_tokens", "num_output_tokens")
    types = ("BYTES", "BYTES", "INT32", "INT32")
    given = [list(zip(names, types, answer, strict=True)) for answer in answers]

    inputs = [Tensor(name, datatype, (1,), (value,)) for name, datatype, value in asked]
    answer = InferAnswer(prompted=True)
    for outputs in given:
        answer.add([Tensor(name, datatype, (1,), (value,)) for name, datatype, value in outputs])
    ours = {
        "input_messages": request_messages(inputs),
        **request_fields(inputs, {"a": 1}),
        **answer.fields(whole=whole),
    }

    def theirs(tensors: list[tuple[str, str, Any]]) -> list[sidecar_tensors.Tensor]:
        return [sidecar_tensors.from_values(name, datatype, (1,), [value]) for name, datatype, value in tensors]

    expected = sidecar.infer_fields(
        theirs(asked), {"a": 1}, [sidecar.Answer(0, theirs(outputs)) for outputs in given], streamed=False, whole=whole
    )
    assert ours == expected
