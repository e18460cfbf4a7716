"""What real instrumentation packages send becomes the inferences that were made."""

from __future__ import annotations

import base64

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from inferwatch.events import InferenceEvent, Message, Part, text_message
from inferwatch.wire import decode_inference, split_record
from ingest.collector.batch import Batch
from ingest.collector.caller import ANYONE, Caller
from ingest.collector.json_values import JSON
from ingest.collector.otlp.requests import PROTOBUF, decode_logs, decode_traces
from ingest.collector.received import Received
from ingest.collector.validity import event_invalid
from tests.support.otel_payloads import payloads

NEWEST = "openai-v2-2.4b0-latest"
# Without this version's opt-in, messages are log records of their own and not on the spans.
WITHOUT_CONTENT = {"openai-v2-2.0b0", "openai-v2-2.4b0"}
WITH_CONTENT = [name for name in payloads.NAMES if name not in WITHOUT_CONTENT]
OPENAI = [name for name in payloads.NAMES if "langchain" not in name]
LANGCHAIN = [name for name in payloads.NAMES if "langchain" in name]
ASKED = (text_message("system", "Be brief."), text_message("user", "Name a colour."))


def decoded(name: str, caller: Caller = ANYONE) -> Batch:
    request = payloads.traces(name)
    at = payloads.ended_at(request)
    return decode_traces(Received(caller, "/v1/traces", PROTOBUF, request.SerializeToString(), at))


def events(name: str, caller: Caller = ANYONE) -> dict[str, InferenceEvent]:
    """Return the events of a package by the model that was asked for."""
    lines = [line for record in decoded(name, caller).records for _, line in split_record(record.value)]
    return {event.request_model: event for event in map(decode_inference, lines)}


@pytest.mark.parametrize("name", OPENAI)
def test_each_call_is_one_inference_and_nothing_else_is(name: str) -> None:
    found = events(name)
    assert set(found) >= {"plain", "streamed", "tool-call", "tool-answer"}
    # The oldest packages do not send a span for everything.
    assert len(found) >= 5
    for event in found.values():
        assert (event.source, event.service, event.environment, event.provider) == ("otlp", "shop", "staging", "openai")
        assert event.operation == ("embeddings" if event.request_model == "embedded" else "chat")
        assert 0 < event.duration < 5
        assert event_invalid(event, event.started_at + event.duration) is None


@pytest.mark.parametrize("name", LANGCHAIN)
def test_of_a_chain_only_the_model_call_is_an_inference(name: str) -> None:
    assert set(events(name)) == {"plain", "streamed"}
    assert dict(decoded(name).counts)["inferwatch_collector_otlp_ignored_total"] == 6


@pytest.mark.parametrize("name", payloads.NAMES)
def test_models_tokens_and_reasons_are_found(name: str) -> None:
    event = events(name)["plain"]
    assert (event.response_model, event.input_tokens, event.output_tokens) == ("plain-2024", 20, 2)
    assert (event.token_source, event.finish_reasons, event.status) == ("reported", ("stop",), "ok")
    assert event.cache_read_tokens in (16, None)
    if name in OPENAI:
        assert event.parameters.items() >= {"temperature": 0.5, "max_tokens": 16}.items()
        assert event.user in ("u-1", None)


@pytest.mark.parametrize("name", WITH_CONTENT)
def test_the_conversation_is_found(name: str) -> None:
    for model in ("plain", "streamed"):
        event = events(name)[model]
        assert event.input_messages == ASKED
        assert [(message.role, message.parts) for message in event.output_messages] == [
            ("assistant", (Part(type="text", content="Blue."),))
        ]
        assert not event.content_unavailable


@pytest.mark.parametrize("name", sorted(set(WITH_CONTENT) & set(OPENAI)))
def test_tool_calls_and_their_answers_are_found(name: str) -> None:
    found = events(name)
    (call,) = found["tool-call"].output_messages[0].parts
    assert (call.type, call.id, call.name) == ("tool_call", "call_1", "get_weather")
    assert call.arguments in ({"city": "Ulm"}, '{"city":"Ulm"}')
    answer = found["tool-answer"].input_messages[-1]
    assert answer == Message(role="tool", parts=(Part(type="tool_call_response", id="call_1", response="sunny"),))


@pytest.mark.parametrize("name", sorted(WITHOUT_CONTENT))
def test_where_messages_are_elsewhere_the_event_says_that_it_has_none(name: str) -> None:
    assert events(name)["plain"].content_unavailable
    received = Received(ANYONE, "/v1/logs", PROTOBUF, payloads.logs(name), 0)
    logs = decode_logs(received)
    told = ExportLogsServiceResponse.FromString(logs.answer).partial_success
    assert logs.records == ()
    assert told.rejected_log_records == dict(logs.counts)["inferwatch_collector_otlp_ignored_total"] > 0
    assert "spans" in told.error_message


@pytest.mark.parametrize("name", [name for name in OPENAI if name != "traceloop-openai-0.30.0"])
def test_a_refused_request_is_an_error(name: str) -> None:
    event = events(name)["refused"]
    assert event.status == "error"
    assert (event.error_type or "").endswith("RateLimitError")
    assert "429" in (event.error_message or "")


@pytest.mark.parametrize("name", [name for name in OPENAI if not name.startswith("openai-v2")])
def test_the_first_token_of_a_stream_is_timed_and_only_there(name: str) -> None:
    found = events(name)
    streamed = found["streamed"]
    assert streamed.stream
    assert 0 < (streamed.time_to_first_token or 0) <= streamed.duration
    assert not found["plain"].stream
    assert found["plain"].time_to_first_token is None


@pytest.mark.parametrize("name", [name for name in OPENAI if name != "openai-v2-2.0b0"])
def test_embeddings_keep_their_text_and_not_their_numbers(name: str) -> None:
    event = events(name)["embedded"]
    assert (event.operation, event.input_tokens, event.output_messages) == ("embeddings", 4, ())
    if not name.startswith("openai-v2"):
        assert event.input_messages == (text_message("user", "Name a colour."),)


def test_a_span_that_is_exported_again_is_the_same_event_and_sorts_by_its_start() -> None:
    first, again = events(NEWEST), events(NEWEST)
    ids = [event.event_id for event in first.values()]
    assert ids == [event.event_id for event in again.values()]
    assert sorted(ids) == ids
    assert all(event_id[14] == "7" for event_id in ids)


def test_the_key_says_whose_the_spans_are() -> None:
    event = events(NEWEST, Caller("k", team="alpha", environment="production"))["plain"]
    assert (event.team, event.environment) == ("alpha", "production")


def test_what_is_no_field_becomes_an_attribute_and_content_does_not() -> None:
    attributes = events("openlit-1.45.0")["plain"].attributes
    assert attributes["server.address"] == "127.0.0.1"
    assert not any("message" in name or "token.count" in name for name in attributes)


@pytest.mark.parametrize("name", payloads.NAMES)
def test_json_says_the_same_as_protobuf(name: str) -> None:
    request = payloads.traces(name)
    as_dict = MessageToDict(request, use_integers_for_enums=True)
    # OTLP has ids in hexadecimal, where protobuf's own JSON has Base64.
    for span in (span for each in as_dict["resourceSpans"] for scope in each["scopeSpans"] for span in scope["spans"]):
        for field in ("traceId", "spanId", "parentSpanId"):
            if field in span:
                span[field] = base64.b64decode(span[field]).hex()
    received = Received(ANYONE, "/v1/traces", JSON, msgspec.json.encode(as_dict), payloads.ended_at(request))
    assert decode_traces(received).records[0].value == decoded(name).records[0].value
