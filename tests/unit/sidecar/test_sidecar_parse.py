"""What passed becomes the right event: generate and generate_stream, and which routes are inferences."""

import gzip
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ContentError
from ingest.sidecar.content import server_sent_events
from ingest.sidecar.headers import kept
from ingest.sidecar.http_head import parse_head
from ingest.sidecar.parse import parse, without_content
from ingest.sidecar.routes import http_route
from tests.unit.sidecar.exchanges import CHAT, DEFAULTS, GENERATE, SSE, STREAM, exchange, sse, texts


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


@pytest.mark.parametrize("request_body", [b"", b'{"messages": [', {"model": None}, {"messages": []}])
def test_an_inference_that_never_said_its_model_is_of_an_unknown_one(request_body: object) -> None:
    refused = exchange(CHAT, request_body, {"error": "down"}, code="502")
    assert parse(refused, DEFAULTS).model == "unknown"
    assert without_content(refused, DEFAULTS).model == "unknown"


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


def test_a_body_that_unfolds_to_far_more_than_is_kept_of_one_is_not_read() -> None:
    most = 4_000
    fits, does_not = (gzip.compress(json.dumps({"text_input": "x" * size}).encode()) for size in (7_000, 9_000))
    headers = {"content-encoding": "gzip"}
    event = parse(exchange(GENERATE, fits, {"text_output": "x"}, headers=headers, most=most), DEFAULTS)
    assert event.input_messages[0].parts[0].content == "x" * 7_000
    event = parse(exchange(GENERATE, does_not, {"text_output": "x"}, headers=headers, most=most), DEFAULTS)
    assert (event.content_unavailable, event.input_messages) == (True, ())


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


def test_names_in_headers_are_read_as_utf_8() -> None:
    head = parse_head("POST / HTTP/1.1\r\nx-inferwatch-team: Größe\r\nx-inferwatch-user: j\u00fcrgen".encode())
    assert head is not None
    headers = {**kept(head.headers), "x-inferwatch-service": b"caf\xe9".decode("latin-1")}
    event = parse(exchange(GENERATE, {"text_input": "Hi"}, {"text_output": "x"}, headers=headers), DEFAULTS)
    assert (event.team, event.user, event.service) == ("Größe", "jürgen", "caf\ufffd")


@pytest.mark.parametrize("value", ["", "00-zz-bb-01", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01"])
def test_a_malformed_traceparent_is_ignored(value: str) -> None:
    event = parse(
        exchange(GENERATE, {"text_input": "Hi"}, {"text_output": "x"}, headers={"traceparent": value}), DEFAULTS
    )
    assert event.trace_id is None


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
