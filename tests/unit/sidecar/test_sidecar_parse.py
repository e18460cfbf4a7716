"""What passed becomes the right event: HTTP routes."""

import contextlib
import gzip
import itertools
import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.events import InferenceEvent
from ingest.errors import ContentError
from ingest.sidecar.content import server_sent_events
from ingest.sidecar.exchange import Capture, Exchange
from ingest.sidecar.parse import Defaults, parse, without_content
from ingest.sidecar.routes import http_route
from ingest.sidecar.tap import Outcome
from ingest.sidecar.tensors import from_values

DEFAULTS = Defaults(environment="test", service="shop", team="search")
GENERATE = "/v2/models/smollm2/generate"
STREAM = "/v2/models/smollm2/generate_stream"
INFER = "/v2/models/ranker/versions/3/infer"
CHAT = "/v1/chat/completions"
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def captured(parts: list[tuple[float, bytes]], most: int = 1 << 20) -> Capture:
    capture = Capture(most)
    for at, data in parts:
        capture.add(at, data)
    return capture


def exchange(
    path: str,
    request: object,
    response: object,
    *,
    code: str = "200",
    outcome: Outcome = "complete",
    headers: dict[str, str] | None = None,
    response_headers: dict[str, str] | None = None,
    most: int = 1 << 20,
) -> Exchange:
    """Return an exchange that began at 100 s on the clock and ended at 103 s."""
    route = http_route("POST", path)
    assert route is not None
    asked = request if isinstance(request, bytes) else json.dumps(request).encode()
    if isinstance(response, list):
        parts = response
    else:
        parts = [(102.5, response if isinstance(response, bytes) else json.dumps(response).encode())]
    return Exchange(
        event_id="id-1",
        route=route,
        headers=headers or {},
        started_at=1_700_000_000.0,
        started=100.0,
        request=captured([(100.0, asked)], most),
        response=captured(parts, most),
        response_headers=response_headers or {},
        code=code,
        outcome=outcome,
        ended=103.0,
    )


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def texts(event: InferenceEvent) -> list[tuple[str, str | None]]:
    return [(message.role, message.parts[0].content) for message in (*event.input_messages, *event.output_messages)]


def test_generate() -> None:
    request = {"text_input": "Hi", "system_prompt": "Be kind", "max_tokens": 8, "parameters": {"temperature": 0.5}}
    response = {
        "model_name": "smollm2",
        "model_version": "1",
        "text_output": "Hello",
        "finish_reason": "stop",
        "num_input_tokens": 5,
        "num_output_tokens": 2,
    }
    event = parse(exchange(GENERATE, request, response), DEFAULTS)
    assert texts(event) == [("system", "Be kind"), ("user", "Hi"), ("assistant", "Hello")]
    assert (event.event_id, event.started_at, event.duration) == ("id-1", 1_700_000_000.0, 3.0)
    assert (event.source, event.operation, event.status, event.stream) == (
        "sidecar-http",
        "text_completion",
        "ok",
        False,
    )
    assert (event.model, event.model_version) == ("smollm2", "1")
    assert (event.input_tokens, event.output_tokens, event.token_source) == (5, 2, "reported")
    assert event.finish_reasons == ("stop",)
    assert event.parameters == {"max_tokens": 8, "temperature": 0.5}
    assert event.time_to_first_token is None
    assert (event.environment, event.service, event.team) == ("test", "shop", "search")
    assert not event.content_unavailable


def test_generate_stream_sums_deltas_and_times_the_first_text() -> None:
    parts = [
        (100.1, sse({"text_output": "", "num_input_tokens": 5, "num_output_tokens": 0})),
        (100.4, sse({"text_output": "Hel", "num_input_tokens": 5, "num_output_tokens": 1})),
        (100.9, sse({"text_output": "lo", "num_input_tokens": 5, "num_output_tokens": 2, "finish_reason": "length"})),
    ]
    event = parse(exchange(STREAM, {"text_input": "Hi"}, parts, response_headers=SSE), DEFAULTS)
    assert texts(event) == [("user", "Hi"), ("assistant", "Hello")]
    assert event.time_to_first_token == pytest.approx(0.4)
    assert (event.input_tokens, event.output_tokens) == (5, 3)
    assert event.finish_reasons == ("length",)
    assert event.stream
    assert event.attributes == {
        "inferwatch.response.time_to_first_byte": "0.100000",
        "inferwatch.response.chunks": "3",
        "inferwatch.response.longest_gap": "0.500000",
    }


@given(st.lists(st.integers(0, 200), max_size=12))
def test_a_stream_reads_the_same_however_it_is_cut(places: list[int]) -> None:
    whole = sse({"text_output": "Grü"}, {"text_output": "ße"}) + b"data: one\r\ndata: two\r\n\r\n"
    edges = [0, *sorted(min(place, len(whole)) for place in places), len(whole)]
    pieces = [(float(i), whole[a:b]) for i, (a, b) in enumerate(itertools.pairwise(edges))]
    assert [data for _, data in server_sent_events(pieces)] == [
        json.dumps({"text_output": "Grü"}),
        json.dumps({"text_output": "ße"}),
        "one\ntwo",
    ]


def test_an_error_inside_a_stream_that_began_well_is_an_error() -> None:
    parts = [(100.2, sse({"text_output": "Hel"})), (100.3, sse({"error": "out of memory"}))]
    event = parse(exchange(STREAM, {"text_input": "Hi"}, parts, response_headers=SSE), DEFAULTS)
    assert (event.status, event.error_type, event.error_message) == ("error", "stream_error", "out of memory")
    assert texts(event) == [("user", "Hi"), ("assistant", "Hel")]


def test_a_client_that_leaves_a_stream_has_cancelled_it() -> None:
    parts = [(100.2, sse({"text_output": "Hel"})), (100.3, b'data: {"text_out')]
    event = parse(exchange(STREAM, {"text_input": "Hi"}, parts, response_headers=SSE, outcome="client_gone"), DEFAULTS)
    assert event.status == "cancelled"
    assert texts(event) == [("user", "Hi"), ("assistant", "Hel")]
    assert event.output_tokens is None


def test_an_upstream_that_breaks_off_is_an_error() -> None:
    event = parse(exchange(GENERATE, {"text_input": "Hi"}, b'{"text_o', outcome="upstream_gone"), DEFAULTS)
    assert (event.status, event.error_type) == ("error", "upstream_gone")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"no such model"}', "no such model"),
        (b'{"error":{"message":"too long","type":"invalid_request_error"}}', "too long"),
        (b'{"detail":"not found"}', "not found"),
        (b"plain text", "plain text"),
        (b"[1]", None),
        (b"", None),
    ],
)
def test_an_error_status_is_an_error_with_its_message(body: bytes, message: str | None) -> None:
    event = parse(exchange(GENERATE, {"text_input": "Hi"}, body, code="400"), DEFAULTS)
    assert (event.status, event.error_type, event.error_message) == ("error", "400", message)
    assert texts(event) == [("user", "Hi")]


def test_a_request_that_is_not_json_and_was_refused_still_makes_an_event() -> None:
    event = parse(exchange(GENERATE, b"{", {"error": "bad"}, code="400"), DEFAULTS)
    assert (event.status, event.content_unavailable) == ("error", True)


def test_a_response_that_is_not_json_has_no_content() -> None:
    broken = exchange(GENERATE, {"text_input": "Hi"}, b"<html>")
    with pytest.raises(ContentError):
        parse(broken, DEFAULTS)
    event = without_content(broken, DEFAULTS)
    assert (event.request_model, event.content_unavailable, event.status) == ("smollm2", True, "ok")


def test_values_of_a_wrong_type_never_reach_the_wire() -> None:
    response = {"model_name": {"a": 1}, "text_output": "x"}
    with pytest.raises(ContentError):
        parse(exchange(GENERATE, {"text_input": "Hi"}, response), DEFAULTS)


def test_content_beyond_the_capture_is_said_to_be_missing() -> None:
    event = parse(exchange(GENERATE, {"text_input": "x" * 500}, {"text_output": "y" * 500}, most=100), DEFAULTS)
    assert event.content_unavailable
    assert event.attributes["inferwatch.capture.cut"] == "request,response"


def test_a_compressed_response_is_read() -> None:
    body = gzip.compress(json.dumps({"text_output": "Hello"}).encode())
    event = parse(
        exchange(GENERATE, {"text_input": "Hi"}, body, response_headers={"content-encoding": "gzip"}), DEFAULTS
    )
    assert texts(event)[-1] == ("assistant", "Hello")


def test_headers_say_who_asks() -> None:
    headers = {
        "x-inferwatch-team": "ads",
        "x-inferwatch-user": "u1",
        "x-inferwatch-conversation": "c1",
        "x-inferwatch-prompt-name": "greet",
        "x-inferwatch-prompt-version": "7",
        "x-inferwatch-environment": "prod",
        "x-inferwatch-service": "bot",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    event = parse(exchange(GENERATE, {"text_input": "Hi"}, {"text_output": "x"}, headers=headers), DEFAULTS)
    assert (event.team, event.user, event.conversation_id) == ("ads", "u1", "c1")
    assert (event.prompt_name, event.prompt_version) == ("greet", "7")
    assert (event.environment, event.service) == ("prod", "bot")
    assert (event.trace_id, event.parent_span_id) == ("a" * 32, "b" * 16)


@pytest.mark.parametrize("value", ["", "00-zz-bb-01", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01"])
def test_a_malformed_traceparent_is_ignored(value: str) -> None:
    event = parse(
        exchange(GENERATE, {"text_input": "Hi"}, {"text_output": "x"}, headers={"traceparent": value}), DEFAULTS
    )
    assert event.trace_id is None


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


def test_chat() -> None:
    request: dict[str, Any] = {
        "model": "smollm2",
        "user": "u9",
        "temperature": 0.2,
        "tools": [{"type": "function"}],
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {}}]},
        ],
    }
    response = {
        "id": "chatcmpl-1",
        "model": "smollm2-135m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }
    event = parse(exchange(CHAT, request, response), DEFAULTS)
    assert texts(event) == [("system", "Be brief"), ("user", "Hi"), ("assistant", "Hello")]
    assert event.input_messages[1].parts[1].type == "image_url"
    assert (event.request_model, event.response_model, event.response_id) == ("smollm2", "smollm2-135m", "chatcmpl-1")
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens, event.reasoning_tokens) == (9, 4, 3, 1)
    assert (event.operation, event.user, event.parameters) == ("chat", "u9", {"temperature": 0.2})


def test_streamed_chat_joins_text_and_tool_calls() -> None:
    def delta(piece: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": piece, "finish_reason": reason}]}

    call = {"index": 0, "id": "t1", "function": {"name": "search", "arguments": '{"q":'}}
    rest = {"index": 0, "function": {"arguments": '"x"}'}}
    parts = [
        (100.1, sse(delta({"role": "assistant", "content": ""}))),
        (100.3, sse(delta({"content": "Let me "}), delta({"content": "look"}))),
        (100.5, sse(delta({"tool_calls": [call]}), delta({"tool_calls": [rest]}), delta({}, "tool_calls"))),
        (100.6, sse({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 7}}) + b"data: [DONE]\n\n"),
    ]
    request = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Find x"}]}
    event = parse(exchange(CHAT, request, parts, response_headers=SSE), DEFAULTS)
    (answer,) = event.output_messages
    assert [(part.type, part.content, part.name, part.arguments) for part in answer.parts] == [
        ("text", "Let me look", None, None),
        ("tool_call", None, "search", '{"q":"x"}'),
    ]
    assert event.time_to_first_token == pytest.approx(0.3)
    assert (event.input_tokens, event.output_tokens, event.finish_reasons) == (3, 7, ("tool_calls",))
    assert event.stream


def test_text_completion() -> None:
    response = {"id": "1", "choices": [{"index": 0, "text": "there", "finish_reason": "length"}]}
    event = parse(exchange("/v1/completions", {"model": "m", "prompt": "Hi"}, response), DEFAULTS)
    assert texts(event) == [("user", "Hi"), ("assistant", "there")]
    assert event.operation == "text_completion"


def test_embeddings() -> None:
    response = {
        "object": "list",
        "model": "minilm",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    asked = {"model": "embedder", "input": ["Hi", "there"], "encoding_format": "float"}
    event = parse(exchange("/v1/embeddings", asked, response), DEFAULTS)
    assert texts(event) == [("user", "Hi"), ("user", "there")]
    assert (event.operation, event.request_model, event.response_model) == ("embeddings", "embedder", "minilm")
    assert (event.input_tokens, event.output_tokens, event.token_source) == (4, 0, "reported")
    assert (event.parameters, event.output_messages, event.embedding) == ({"encoding_format": "float"}, (), None)


def test_an_embedding_of_token_numbers_has_no_text_to_show() -> None:
    event = parse(exchange("/v1/embeddings", {"model": "m", "input": [[1, 2], [3]]}, {"data": []}), DEFAULTS)
    assert (event.input_messages, event.content_unavailable) == ((), True)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", GENERATE),
        ("POST", "/v2/models/m/ready"),
        ("POST", "/v2/repository/models/m/load"),
        ("POST", "/v1/models"),
    ],
)
def test_other_requests_are_not_inferences(method: str, target: str) -> None:
    assert http_route(method, target) is None


def test_a_route_names_model_and_version() -> None:
    route = http_route("POST", "/v2/models/a%2Fb/versions/12/infer?x=1")
    assert route is not None
    assert (route.model, route.version) == ("a/b", "12")


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([GENERATE, STREAM, INFER, CHAT]))
def test_arbitrary_content_is_an_event_or_a_content_error(request: bytes, response: bytes, path: str) -> None:
    seen = exchange(path, request, response, response_headers=SSE if path == STREAM else {})
    try:
        parse(seen, DEFAULTS)
    except ContentError:
        without_content(seen, DEFAULTS)


@pytest.mark.parametrize("depth", [500, 900, 5_000, 200_000])
@pytest.mark.parametrize("path", [GENERATE, INFER, CHAT])
@pytest.mark.parametrize(
    "form",
    [
        (b"[", b"]"),
        (b'{"text_input":"Hi","text_output":"y","x":[', b"]}"),
        (b'{"messages":[{"role":"tool","content":[', b"]}]}"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[', b"]}]}"),
        (b'{"model":"m","logit_bias":[', b"]}"),
    ],
)
def test_content_nested_deeply_is_an_event_or_a_content_error(path: str, depth: int, form: tuple[bytes, bytes]) -> None:
    body = form[0] + b"[" * depth + b"]" * depth + form[1]
    with contextlib.suppress(ContentError):
        assert parse(exchange(path, body, body), DEFAULTS).event_id == "id-1"


def test_parameters_nested_deeply_are_left_out() -> None:
    nested = '{"a":' * 20_000 + "1" + "}" * 20_000
    request = {"text_input": "Hi", "sampling_parameters": nested}
    event = parse(exchange(GENERATE, request, {"text_output": "x"}), DEFAULTS)
    assert (texts(event), event.parameters) == ([("user", "Hi"), ("assistant", "x")], {})


@pytest.mark.parametrize("keep", range(2, 7))
def test_text_of_a_stream_beyond_the_capture_ends_with_no_half_of_a_value(keep: int) -> None:
    pieces = ["Of course, ", "write to ", "alice", ".smith", "@", "example", ".org", " today"]
    parts = [(100.1 + number, sse({"text_output": piece})) for number, piece in enumerate(pieces)]
    most = sum(len(data) for _, data in parts[:keep])
    event = parse(exchange(STREAM, b'{"text_input":"Hi"}', parts, response_headers=SSE, most=most), DEFAULTS)
    assert event.attributes["inferwatch.capture.cut"] == "response"
    assert event.output_messages[0].parts[0].content in ("Of course, …", "Of course, write …", "Of course, write to …")


def test_arguments_of_a_call_beyond_the_capture_end_with_no_half_of_a_value() -> None:
    pieces = ['{"to": "', "alice.smith@", "example.org"]
    calls = [[{"index": 0, "function": {"name": "send", "arguments": piece}}] for piece in pieces]
    parts = [(100.1, sse({"choices": [{"index": 0, "delta": {"tool_calls": call}}]})) for call in calls]
    most = len(parts[0][1]) + len(parts[1][1])
    seen = exchange(CHAT, b'{"messages":[]}', parts, response_headers=SSE, most=most)
    (part,) = parse(seen, DEFAULTS).output_messages[0].parts
    assert part.arguments == '{"to": "…'


@pytest.mark.parametrize(
    "body", [b"not known: " + b"w" * 960 + b"\nis alice.smith@example.org", b"cannot mail alice.smith@"]
)
def test_an_error_message_that_is_cut_ends_with_no_half_of_a_value(body: bytes) -> None:
    most = 1 << 20 if len(body) > 100 else len(body)
    parts = [(100.1, body), (100.2, b"example.org")]
    message = parse(
        exchange(GENERATE, {"text_input": "Hi"}, parts, code="500", most=max(most, 30)), DEFAULTS
    ).error_message
    assert message is not None
    assert "alice" not in message or "example.org" in message


def test_values_nested_more_deeply_than_can_be_walked_are_a_content_error() -> None:
    nested: list[object] = []
    for _ in range(sys.getrecursionlimit()):
        nested = [nested]
    with pytest.raises(ContentError, match=r"^tensor x: nested too deeply$"):
        from_values("x", "FP32", (1,), nested)
