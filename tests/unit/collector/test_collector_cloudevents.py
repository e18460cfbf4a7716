"""What KServe's logger sends, as CloudEvents and as inferences."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.events import InferenceEvent
from inferwatch.wire import decode_inference
from ingest.collector.batch import inference_line
from ingest.collector.caller import Caller
from ingest.collector.cloudevents.half import Half, decode, text_or_data
from ingest.collector.cloudevents.http import BATCHED, STRUCTURED, decode_cloudevents
from ingest.collector.cloudevents.inference import inference
from ingest.collector.cloudevents.join import Pair
from ingest.collector.received import Received
from ingest.errors import Invalid, Malformed, Refused, WrongMediaType

NOW = 1_800_000_000.0
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "0b1c",
    "ce-source": "http://localhost:9081/",
    "ce-type": "org.kubeflow.serving.inference.request",
    "ce-time": "2027-01-15T08:00:00.123456789Z",
    "ce-inferenceservicename": "sentiment",
    "ce-namespace": "shop",
    "ce-endpoint": "default",
    "ce-component": "predictor",
    "ce-metadata": '{"Traceparent":["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]}',
}
STRUCTURED_EVENT = {name[3:]: value for name, value in HEADERS.items()}


def halves(headers: dict[str, str], body: bytes, media_type: str = "application/json") -> list[Half]:
    received = Received(Caller("k", "alpha"), "/cloudevents", media_type, body, NOW, headers)
    return [decode(record.value) for record in decode_cloudevents(received).records]


def test_binary_content_mode_is_read() -> None:
    (half,) = halves(HEADERS, b'{"instances":[[1,2]]}')
    assert (half.kind, half.id, half.service, half.namespace) == ("request", "0b1c", "sentiment", "shop")
    assert (half.endpoint, half.component, half.team) == ("default", "predictor", "alpha")
    assert half.at == pytest.approx(NOW + 0.123456)
    assert half.body == b'{"instances":[[1,2]]}'
    assert half.headers["traceparent"].startswith("00-0af7")


def test_structured_and_batched_content_mode_say_the_same() -> None:
    binary = halves(HEADERS, b'{"a":1}')
    with_data = {**STRUCTURED_EVENT, "data": {"a": 1}}
    with_base64 = {**STRUCTURED_EVENT, "data_base64": base64.b64encode(b'{"a":1}').decode()}
    assert halves({}, json.dumps(with_data).encode(), STRUCTURED) == binary
    assert halves({}, json.dumps([with_data, with_base64]).encode(), BATCHED) == binary * 2


def test_request_and_response_have_one_key_and_components_have_their_own() -> None:
    response = {**HEADERS, "ce-type": "org.kubeflow.serving.inference.response"}
    transformer = {**HEADERS, "ce-component": "transformer"}
    keys = [halves(headers, b"{}")[0].key for headers in (HEADERS, response, transformer)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"ce-type": "something.else"}, "$.type"),
        ({"ce-id": ""}, "$.id"),
        ({"ce-time": "yesterday"}, "$.time"),
        ({"ce-time": "2027-01-15T08:00:00"}, "$.time"),
        ({"ce-time": "1999-01-15T08:00:00Z"}, "$.time"),
        ({"ce-namespace": "x" * 300}, "$.namespace"),
        # How the server hands on the byte 0xff, which is no UTF-8.
        ({"ce-id": "\udcff"}, "$.id"),
        ({"ce-endpoint": "a\udc80%41"}, "$.endpoint"),
    ],
)
def test_what_cannot_be_taken_is_named(headers: dict[str, str], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        halves({**HEADERS, **headers}, b"{}")
    assert caught.value.path == path


def test_what_is_no_cloudevent_is_refused() -> None:
    with pytest.raises(WrongMediaType):
        halves({}, b"{}")
    with pytest.raises(Malformed):
        halves({}, b"{", STRUCTURED)


def joined(request: Any, response: Any, **fields: Any) -> InferenceEvent:
    """Join bodies: bytes as they are, None for none, anything else as JSON."""
    made: list[Half | None] = []
    for kind, body, at in (("request", request, NOW), ("response", response, NOW + 0.5)):
        if body is None:
            made.append(None)
            continue
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given: dict[str, Any] = {"kind": kind, "key": "k/1", "at": at, "service": "svc", **text_or_data(data), **fields}
        made.append(Half(**given))
    event = inference(Pair("k/1", NOW, 0, *made), "staging")
    assert decode_inference(inference_line(event, 65_536, 0)) == event
    return event


CHAT = {"model": "llama", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5}
ANSWER = {
    "id": "r",
    "model": "llama-3",
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}


def test_a_chat_is_one_inference_with_the_time_between_its_halves() -> None:
    event = joined(CHAT, ANSWER, namespace="shop", endpoint="default", component="predictor")
    assert (event.source, event.provider, event.service, event.environment) == (
        "cloudevents",
        "kserve",
        "svc",
        "staging",
    )
    assert (event.started_at, event.duration, event.status) == (NOW, 0.5, "ok")
    assert (event.request_model, event.response_model, event.input_tokens) == ("llama", "llama-3", 3)
    assert event.output_messages[0].parts[0].content == "Hello"
    assert event.attributes == {
        "kserve.namespace": "shop",
        "kserve.endpoint": "default",
        "kserve.component": "predictor",
    }


def test_a_stream_is_joined_although_its_half_calls_it_json() -> None:
    chunks = [{"choices": [{"delta": {"content": text}}]} for text in ("Hel", "lo")]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    event = joined({**CHAT, "stream": True}, body.encode())
    assert event.output_messages[0].parts[0].content == "Hello"
    assert event.stream
    assert event.time_to_first_token is None


def test_a_compressed_response_is_read() -> None:
    assert joined(CHAT, gzip.compress(json.dumps(ANSWER).encode())).response_model == "llama-3"


def test_v1_numbers_are_summarised_and_texts_are_messages() -> None:
    numbers = joined({"instances": [[1.0, 2.0], [3.0, 6.0]]}, {"predictions": [0, 1]})
    (tensor,) = numbers.input_tensors
    assert (tensor.shape, tensor.mean, tensor.maximum) == ((2, 2), 3.0, 6.0)
    assert (numbers.operation, numbers.request_model) == ("infer", "svc")
    texts = joined({"instances": ["12", "good"]}, {"predictions": [{"label": "joy"}]})
    assert [message.parts[0].content for message in texts.input_messages] == ["12", "good"]
    assert texts.output_messages[0].parts[0].content == '{"label":"joy"}'


def test_v2_tensors_are_read_in_json_and_in_binary() -> None:
    described = {"name": "x", "datatype": "FP32", "shape": [2]}
    as_json = joined({"inputs": [{**described, "data": [1, 3]}]}, {"model_name": "m", "outputs": []})
    data = np.array([1, 3], "<f4").tobytes()
    header = json.dumps({"inputs": [{**described, "parameters": {"binary_data_size": len(data)}}]}).encode()
    in_binary = joined(header + data, {"model_name": "m", "outputs": []})
    assert in_binary.input_tensors == as_json.input_tensors
    assert (in_binary.input_tensors[0].mean, in_binary.response_model) == (2.0, "m")


def test_a_missing_response_is_an_error_and_a_missing_request_missing_content() -> None:
    alone = joined(CHAT, None)
    assert (alone.status, alone.error_type) == ("error", "response_missing")
    assert alone.input_messages[0].parts[0].content == "Hi"
    answer = joined(None, ANSWER)
    assert (answer.status, answer.content_unavailable, answer.response_model) == ("ok", True, "llama-3")
    assert answer.attributes["kserve.missing"] == "request"


def test_the_same_halves_are_the_same_event() -> None:
    assert joined(CHAT, ANSWER).event_id == joined(CHAT, ANSWER).event_id


def test_a_trace_goes_on_where_the_logger_passes_it_on() -> None:
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert joined(CHAT, ANSWER, headers=headers).trace_id == "0af7651916cd43dd8448eb211c80319c"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list("ab")), inner, max_size=2),
    max_leaves=6,
)
FIELDS = [
    "messages",
    "prompt",
    "inputs",
    "instances",
    "text_input",
    "choices",
    "outputs",
    "predictions",
    "model",
    "usage",
]
BODIES = (
    st.none()
    | st.binary(max_size=40)
    | st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4)
    | VALUES.map(msgspec.json.encode)
)


@given(BODIES, BODIES)
def test_whatever_models_say_an_event_comes_of_it(request: Any, response: Any) -> None:
    if request is not None or response is not None:
        joined(request, response)


@given(
    st.dictionaries(st.sampled_from([*STRUCTURED_EVENT, "data", "data_base64"]), VALUES | st.text(), max_size=8),
    st.binary(max_size=20),
)
def test_whatever_is_sent_as_cloudevents_is_taken_or_refused(changes: dict[str, Any], body: bytes) -> None:
    structured = msgspec.json.encode({**STRUCTURED_EVENT, **changes})
    headers = {**HEADERS, **{f"ce-{name}": str(value) for name, value in changes.items()}}
    sent = [(headers, body, "text/plain"), ({}, structured, STRUCTURED), ({}, body, BATCHED)]
    for given_headers, data, media_type in sent:
        try:
            halves(given_headers, data, media_type)
        except Refused:
            continue
