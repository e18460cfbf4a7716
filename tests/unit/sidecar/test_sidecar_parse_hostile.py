"""Whatever passes becomes an event or a content error, and no half of a value is left of what is cut."""

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ContentError
from ingest.sidecar.parse import parse, without_content
from ingest.sidecar.tensors import from_values
from tests.unit.sidecar.exchanges import CHAT, DEFAULTS, GENERATE, INFER, SSE, STREAM, exchange, sse, texts


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
