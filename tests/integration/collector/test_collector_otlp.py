"""OTLP over HTTP and gRPC: the same spans, the same keys, the same promises."""

import asyncio
import gzip
import ssl
import struct
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from inferwatch import topics
from ingest.api_keys import create
from ingest.collector.otlp.requests import PROTOBUF
from ingest.tls import ServerTls
from tests.support.collector import Client, events_of, running_collector
from tests.support.otel_payloads import payloads

MAX_CONCURRENT_STREAMS = 3
"""The number of this setting of HTTP/2."""
NAME = "traceloop-openai-0.62.4"


def fresh(name: str = NAME) -> ExportTraceServiceRequest:
    """Spans that have just ended, under trace ids of their own."""
    request = payloads.moved_to(payloads.traces(name), time.time() - 1)
    mark = time.time_ns().to_bytes(16, "big")
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.trace_id = mark
    return request


def trace_of(request: ExportTraceServiceRequest) -> str:
    return request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()


def stored(bootstrap: str, request: ExportTraceServiceRequest) -> list[str]:
    """Return the models of the inferences of a trace that Kafka holds."""
    events = [each for each in events_of(bootstrap, topics.INFERENCES) if each.get("trace_id") == trace_of(request)]
    return sorted(each["request_model"] for each in events)


MODELS = ["embedded", "plain", "refused", "streamed", "tool-answer", "tool-call"]


def exporting(client: Client, credentials: grpc.ChannelCredentials | None = None, signal: str = "trace") -> Any:
    """Return OTLP's `Export` as a call that takes and gives messages or, of messages that are none, bytes."""
    address = f"localhost:{client.collector.ports.grpc}"
    options = [("grpc.max_send_message_length", -1)]
    channel = (
        grpc.aio.insecure_channel(address, options=options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials)
    )
    service = {"trace": "trace.v1.TraceService", "logs": "logs.v1.LogsService"}[signal]
    return channel.unary_unary(
        f"/opentelemetry.proto.collector.{service}/Export",
        request_serializer=lambda sent: sent if isinstance(sent, bytes) else sent.SerializeToString(),
        response_deserializer=ExportTraceServiceResponse.FromString,
    )


async def test_spans_over_http_are_in_kafka_and_a_repeated_export_adds_nothing(bootstrap: str) -> None:
    request = fresh()
    body = request.SerializeToString()
    async with running_collector(bootstrap) as client:
        first = await client.post("/v1/traces", body, PROTOBUF)
        again = await client.post("/v1/traces", gzip.compress(body), PROTOBUF, content_encoding="gzip")
        counters = client.collector.counters
        assert counters["inferwatch_collector_repeats_total"] == 1
        assert counters["inferwatch_collector_events_total"] == 6
    assert (first.status, again.status) == (200, 200)
    assert first.headers["Content-Type"] == PROTOBUF
    assert not ExportTraceServiceResponse.FromString(first.body).HasField("partial_success")
    assert stored(bootstrap, request) == MODELS


async def test_spans_over_grpc_are_in_kafka(bootstrap: str) -> None:
    request = fresh()
    async with running_collector(bootstrap) as client:
        answer = await exporting(client)(request, compression=grpc.Compression.Gzip)
        await exporting(client, signal="logs")(payloads.logs("openai-v2-2.4b0"))
        assert client.collector.counters["inferwatch_collector_otlp_ignored_total"] == 16
    assert not answer.HasField("partial_success")
    assert stored(bootstrap, request) == MODELS


async def test_impossible_spans_are_told_and_the_others_are_taken(bootstrap: str) -> None:
    request = fresh()
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].end_time_unix_nano = 1
    async with running_collector(bootstrap) as client:
        reply = await client.post("/v1/traces", request.SerializeToString(), PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(reply.body)
    assert answer.partial_success.rejected_spans == 1
    assert "ends before" in answer.partial_success.error_message
    assert len(stored(bootstrap, request)) == 5


async def test_refusals_have_the_form_that_otlp_wants(bootstrap: str, tmp_path: Path) -> None:
    create(tmp_path / "keys.json", time.time())
    async with running_collector(bootstrap) as client:
        malformed = await client.post("/v1/traces", b"\xff\xff", PROTOBUF)
        as_json = await client.post("/v1/traces", b"[]")
        wrong = await client.post("/v1/traces", b"x", "text/plain")
    async with running_collector(bootstrap, api_keys=tmp_path / "keys.json") as client:
        keyless = await client.post("/v1/traces", b"", PROTOBUF)
    assert [each.status for each in (malformed, as_json, wrong, keyless)] == [400, 400, 415, 401]
    assert malformed.headers["Content-Type"] == PROTOBUF
    # google.rpc.Status: field 1 is the code (3, an invalid argument; 16, unauthenticated), field 2 the message.
    assert malformed.body.startswith(b"\x08\x03\x12")
    assert keyless.body.startswith(b"\x08\x10\x12")
    assert as_json.json["code"] == 3


async def test_grpc_asks_for_keys_too_and_says_what_is_wrong(bootstrap: str, tmp_path: Path) -> None:
    _, text = create(tmp_path / "keys.json", time.time(), team="alpha")
    request = fresh()
    async with running_collector(bootstrap, api_keys=tmp_path / "keys.json") as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await exporting(client)(request)
        await exporting(client)(request, metadata=(("authorization", f"Bearer {text}"),))
        with pytest.raises(grpc.aio.AioRpcError) as invalid:
            await exporting(client)(b"\xff\xff", metadata=(("x-api-key", text),))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert invalid.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert stored(bootstrap, request) == MODELS


async def test_a_compressed_message_that_grows_too_large_is_refused(bootstrap: str) -> None:
    request = fresh()
    request.resource_spans[0].scope_spans[0].spans[0].name = "x" * (4 << 20)
    async with running_collector(bootstrap, max_body_bytes=1 << 20) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await exporting(client)(request, compression=grpc.Compression.Gzip)
        assert client.collector.counters["inferwatch_collector_body_bytes_total"] == 0
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_limited_key_is_told_by_grpc_when_to_come_again(bootstrap: str) -> None:
    async with running_collector(bootstrap, requests_per_second=1) as client:
        await exporting(client)(fresh())
        await exporting(client)(fresh())
        with pytest.raises(grpc.aio.AioRpcError) as limited:
            await exporting(client)(fresh())
    assert limited.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(limited.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert b"google.rpc.RetryInfo" in bytes(details)


async def test_both_ports_speak_tls(bootstrap: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem")
    trusted = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    request = fresh()
    async with running_collector(bootstrap, tls=tls) as client:
        async with client.session.get(f"{client.base}/healthz", ssl=trusted) as response:
            assert response.status == 200
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        await exporting(client, credentials)(request)
    assert stored(bootstrap, request) == MODELS


async def test_one_connection_may_not_have_more_messages_in_memory_than_all_together(bootstrap: str) -> None:
    bounds = {"max_body_bytes": 1 << 20, "in_flight_bytes": 5 << 20}
    async with running_collector(bootstrap, **bounds) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.collector.ports.grpc)
        # The server begins with its settings, of six bytes each (RFC 9113, section 6.5).
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        head = await reader.readexactly(9)
        told = dict(struct.iter_unpack(">HI", await reader.readexactly(int.from_bytes(head[:3]))))
        writer.close()
        await writer.wait_closed()
    assert told[MAX_CONCURRENT_STREAMS] == 5
