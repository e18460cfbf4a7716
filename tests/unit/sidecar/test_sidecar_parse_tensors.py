"""What passed becomes the right event: infer, with tensors as JSON, as bytes and in shared memory."""

import json

import numpy as np
import pytest

from ingest.sidecar.parse import parse
from tests.unit.sidecar.exchanges import DEFAULTS, INFER, exchange, texts


def test_infer_with_json_tensors() -> None:
    request = {"id": "r1", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4]]}]}
    outputs = [{"name": "y", "datatype": "INT64", "shape": [2], "data": [10, 20]}]
    event = parse(
        exchange(INFER, request, {"model_name": "ranker", "model_version": "3", "outputs": outputs}), DEFAULTS
    )
    (given,), (made,) = event.input_tensors, event.output_tensors
    assert (given.name, given.shape, given.count, given.mean, given.minimum, given.maximum) == (
        "x",
        (2, 2),
        4,
        2.5,
        1,
        4,
    )
    assert given.deviation == pytest.approx(np.std([1, 2, 3, 4]))
    assert (made.mean, made.nan_share) == (15.0, 0.0)
    assert (event.operation, event.response_id, event.model_version) == ("infer", "r1", "3")
    assert not event.content_unavailable


def binary(inputs: list[tuple[str, str, list[int], bytes]], key: str) -> tuple[bytes, dict[str, str]]:
    described = [
        {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, shape, data in inputs
    ]
    head = json.dumps({"model_name": "ranker", key: described}).encode()
    return head + b"".join(item[3] for item in inputs), {"inference-header-content-length": str(len(head))}


@pytest.mark.parametrize(
    ("datatype", "dtype"), [("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8"), ("INT8", "<i1"), ("UINT64", "<u8")]
)
def test_infer_with_binary_tensors(datatype: str, dtype: str) -> None:
    data = np.array([1, 2, 3, 6], dtype).tobytes()
    request, headers = binary([("x", datatype, [4], data)], "inputs")
    response, response_headers = binary([("y", datatype, [4], data)], "outputs")
    event = parse(exchange(INFER, request, response, headers=headers, response_headers=response_headers), DEFAULTS)
    assert [(item.mean, item.maximum) for item in (*event.input_tensors, *event.output_tensors)] == [(3.0, 6.0)] * 2


def test_bfloat16_and_not_a_number_are_understood() -> None:
    data = (np.array([1.0, np.nan, 3.0, np.inf], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    request, headers = binary([("x", "BF16", [4], data)], "inputs")
    event = parse(exchange(INFER, request, {"outputs": []}, headers=headers), DEFAULTS)
    (given,) = event.input_tensors
    assert (given.mean, given.minimum, given.maximum, given.nan_share) == (2.0, 1.0, 3.0, 0.25)


def test_binary_text_of_a_text_model_is_text() -> None:
    def element(text: str) -> bytes:
        return len(text.encode()).to_bytes(4, "little") + text.encode()

    request, headers = binary([("text_input", "BYTES", [2], element("Grüße") + element("two"))], "inputs")
    response = {"outputs": [{"name": "text_output", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]}
    event = parse(exchange(INFER, request, response, headers=headers), DEFAULTS)
    assert texts(event) == [("user", "Grüße"), ("user", "two"), ("assistant", "a"), ("assistant", "b")]


def test_an_embedder_has_its_texts_as_messages() -> None:
    request = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["one", "two"]}]}
    outputs = [{"name": "embedding", "datatype": "FP32", "shape": [2, 2], "data": [0.5, 0.5, 0.1, 0.9]}]
    event = parse(exchange("/v2/models/minilm/infer", request, {"outputs": outputs}), DEFAULTS)
    assert event.operation == "embeddings"
    assert texts(event) == [("user", "one"), ("user", "two")]
    assert [(item.name, item.shape, item.mean) for item in event.output_tensors] == [("embedding", (2, 2), 0.5)]


def test_tensors_in_shared_memory_have_no_content() -> None:
    shared = {"shared_memory_region": "r", "shared_memory_byte_size": 16}
    request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [4], "parameters": shared}]}
    event = parse(exchange(INFER, request, {"outputs": []}), DEFAULTS)
    assert event.content_unavailable
    assert [(item.name, item.count, item.mean) for item in event.input_tensors] == [("x", 4, None)]
