"""Spans that no recorded package sent: other conventions, and what cannot be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from inferwatch.events import InferenceEvent
from inferwatch.wire import decode_inference, split_record
from ingest.collector.batch import Batch
from ingest.collector.caller import ANYONE
from ingest.collector.json_values import JSON
from ingest.collector.otlp.requests import PROTOBUF, decode_metrics, decode_traces
from ingest.collector.received import Received
from ingest.errors import Malformed

NOW = 1_800_000_000.0
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "m"}


def any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
        case _:
            return AnyValue(string_value=value)


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def batch(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]], **changes: Any) -> Batch:
    fields: dict[str, Any] = {
        "trace_id": b"t" * 16,
        "span_id": b"s" * 8,
        "start_time_unix_nano": int((NOW - 2) * 1e9),
        "end_time_unix_nano": int((NOW - 1) * 1e9),
        **changes,
    }
    span = Span(**fields, attributes=pairs(attributes))
    for name, more in events:
        span.events.add(name=name, time_unix_nano=int((NOW - 1.5) * 1e9), attributes=pairs(more))
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.append(span)
    return decode_traces(Received(ANYONE, "/v1/traces", PROTOBUF, request.SerializeToString(), NOW))


def event(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]]) -> InferenceEvent:
    (record,) = batch(attributes, *events).records
    ((_, line),) = split_record(record.value)
    return decode_inference(line)


def texts(messages: Any) -> list[tuple[str, str | None]]:
    return [(message.role, part.content) for message in messages for part in message.parts]


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"gen_ai.operation.name": "generate_content"}, "generate_content"),
        ({"gen_ai.operation.name": "text_completion"}, "text_completion"),
        ({"gen_ai.operation.name": "execute_tool"}, None),
        ({"gen_ai.operation.name": "invoke_agent"}, None),
        ({"llm.request.type": "completion"}, "text_completion"),
        ({"llm.request.type": "rerank"}, None),
        ({"openinference.span.kind": "LLM"}, "chat"),
        ({"openinference.span.kind": "TOOL"}, None),
        ({"gen_ai.system": "openai"}, "chat"),
        ({"gen_ai.system": "openai", "traceloop.span.kind": "workflow"}, None),
        ({"http.method": "POST"}, None),
    ],
)
def test_model_calls_are_told_from_other_spans(attributes: dict[str, Any], operation: str | None) -> None:
    made = batch({"gen_ai.request.model": "m", **attributes})
    if operation is None:
        assert made.records == ()
    else:
        assert event({"gen_ai.request.model": "m", **attributes}).operation == operation


def test_messages_as_events_of_the_span_are_found() -> None:
    found = event(
        CHAT,
        ("gen_ai.system.message", {"gen_ai.event.content": '{"role":"system","content":"Be brief."}'}),
        ("gen_ai.user.message", {"content": "Hi"}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": '{"role":"assistant","content":"Hello"}'}),
    )
    assert texts(found.input_messages) == [("system", "Be brief."), ("user", "Hi")]
    assert texts(found.output_messages) == [("assistant", "Hello")]
    assert found.finish_reasons == ("stop",)


def test_whole_prompts_as_events_are_found() -> None:
    found = event(
        CHAT,
        ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role":"user","content":"Hi"}]'}),
        ("gen_ai.content.completion", {"gen_ai.completion": "Hello"}),
    )
    assert texts(found.input_messages) == [("user", "Hi")]
    assert texts(found.output_messages) == [("assistant", "Hello")]


def test_instructions_that_stand_apart_come_first() -> None:
    found = event(
        {
            **CHAT,
            "gen_ai.system_instructions": '[{"type":"text","content":"Be brief."}]',
            "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hi"},{"type":"blob"}]}]',
        }
    )
    assert texts(found.input_messages) == [("system", "Be brief."), ("user", "Hi"), ("user", None)]


def test_parts_of_openinference_are_found_in_the_order_of_their_numbers() -> None:
    prefix = "llm.input_messages.0.message"
    found = event(
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "m",
            f"{prefix}.role": "user",
            f"{prefix}.contents.10.message_content.text": "last",
            f"{prefix}.contents.10.message_content.type": "text",
            f"{prefix}.contents.2.message_content.text": "first",
            f"{prefix}.contents.2.message_content.type": "text",
        }
    )
    assert texts(found.input_messages) == [("user", "first"), ("user", "last")]


def test_a_time_to_the_first_chunk_says_that_it_was_a_stream() -> None:
    assert event({**CHAT, "gen_ai.response.time_to_first_chunk": 0.25}).time_to_first_token == 0.25
    assert event({**CHAT, "gen_ai.server.time_to_first_token": 0.25}).time_to_first_token is None


def test_conversation_and_user_are_found_under_their_old_names() -> None:
    found = event({**CHAT, "session.id": "c", "enduser.id": "u"})
    assert (found.conversation_id, found.user) == ("c", "u")


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_id": b""},
        {"span_id": b"\0" * 8},
        {"end_time_unix_nano": 1},
        {"start_time_unix_nano": 0},
        {"start_time_unix_nano": int((NOW - 90 * 86_400) * 1e9)},
    ],
)
def test_a_span_that_cannot_be_is_rejected_by_name_and_others_are_taken(changes: dict[str, Any]) -> None:
    made = batch(CHAT, **changes)
    answer = ExportTraceServiceResponse.FromString(made.answer)
    assert made.records == ()
    assert answer.partial_success.rejected_spans == 1
    assert answer.partial_success.error_message


def test_data_points_are_told_as_rejected_one_by_one_and_a_request_without_any_is_taken() -> None:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    assert told_of(request) == (0, "")
    metrics.add(name="counted").sum.data_points.extend([NumberDataPoint(), NumberDataPoint()])
    metrics.add(name="measured").gauge.data_points.add()
    metrics.add(name="spread").histogram.data_points.add()
    metrics.add(name="spread more").exponential_histogram.data_points.add()
    metrics.add(name="summed up").summary.data_points.add()
    metrics.add(name="of no kind")
    rejected, reason = told_of(request)
    assert rejected == 6
    assert reason


def told_of(request: ExportMetricsServiceRequest) -> tuple[int, str]:
    made = decode_metrics(Received(ANYONE, "/v1/metrics", PROTOBUF, request.SerializeToString(), NOW))
    told = ExportMetricsServiceResponse.FromString(made.answer).partial_success
    assert made.counts == (("inferwatch_collector_otlp_ignored_total", told.rejected_data_points),)
    return told.rejected_data_points, told.error_message


def test_values_of_another_type_are_as_if_they_were_not_there() -> None:
    found = event(
        {**CHAT, "gen_ai.usage.input_tokens": "many", "gen_ai.response.id": 7, "gen_ai.response.model": ["m"]}
    )
    assert (found.input_tokens, found.response_id, found.response_model) == (None, None, None)


def test_attributes_are_bounded_in_number_and_size() -> None:
    many = {f"a.{number}": "word " * 1000 for number in range(200)}
    attributes = event({**CHAT, **many}).attributes
    assert len(attributes) == 64
    assert max(map(len, attributes.values())) <= 1024


NAMES = st.sampled_from(
    [
        *CHAT,
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt"),
        *("gen_ai.prompt.0.content", "gen_ai.prompt.0", "gen_ai.prompt.0.tool_calls.0.id", "gen_ai.completion.0.role"),
        *("llm.input_messages.0.message.contents", "llm.input_messages.message", "llm.invocation_parameters"),
        *(
            "gen_ai.usage.input_tokens",
            "gen_ai.response.finish_reasons",
            "gen_ai.request.top_p",
            "openinference.span.kind",
        ),
        *("llm.input_messages.0.message.contents.0.message_content.text", "gen_ai.is_streaming", "error.type"),
    ]
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "type", "content", "tool_calls", "message"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
VALUES = st.one_of(
    st.text(), st.booleans(), st.integers(-(2**62), 2**62), st.floats(), st.lists(st.text(), max_size=3),
    JSONS.map(lambda value: msgspec.json.encode(value).decode()),
)  # fmt: skip


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_whatever_attributes_hold_the_span_becomes_a_valid_event_or_is_rejected(attributes: dict[str, Any]) -> None:
    made = batch({**CHAT, **attributes})
    for record in made.records:
        for index, line in split_record(record.value):
            decode_inference(line, index)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_request_are_malformed_and_nothing_else(body: bytes) -> None:
    for media_type in (PROTOBUF, JSON):
        try:
            decode_traces(Received(ANYONE, "/v1/traces", media_type, body, NOW))
        except Malformed:
            continue


@given(JSONS)
def test_json_that_is_no_request_is_malformed_and_nothing_else(value: Any) -> None:
    wrapped = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": value, "attributes": value}]}]}]}
    for each in (value, wrapped, {"resourceSpans": value}):
        try:
            decode_traces(Received(ANYONE, "/v1/traces", JSON, msgspec.json.encode(each), NOW))
        except Malformed:
            continue
