"""1,000 requests to a real Triton, each byte compared on both sides of the sidecar.

A relay on either side remembers what passed: client, relay, sidecar, relay, Triton. The sidecar's header in responses
to inferences is the only difference there may be.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from ingest.sidecar.framing import End, Framer
from ingest.sidecar.h2_frames import END_HEADERS, HEADERS
from ingest.sidecar.h2_headers import literal
from ingest.sidecar.http_head import Head, response_body
from tests.integration.sidecar.relay import Conversation, Relay, relayed
from tests.integration.sidecar.upstreams import EVENT_ID, Mirrored, connected, sidecar_before
from tests.support.triton import RunningTriton
from tests.unit.sidecar.h2_streams import split_frames

SERVICE = "/inference.GRPCInferenceService/"
LITERAL = re.compile(re.escape(literal("x-inferwatch-event-id", "i" * 36))[:-36] + rb"([0-9a-f-]{36})", re.DOTALL)
EMBED = "/v2/models/minilm/infer"
GENERATE = "/v2/models/smollm2/generate"
MOST_SECONDS = 90
INFERENCES, ABSENT, STREAMED = 120, 10, 20


def text_tensor(text: str) -> dict[str, Any]:
    return {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}


def embed_json(number: int) -> bytes:
    return json.dumps({"id": str(number), "inputs": [text_tensor(f"Sentence number {number}, größer.")]}).encode()


def request(path: str, body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: triton", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def in_binary(number: int) -> bytes:
    """Return an inference whose tensors are bytes behind the JSON, both ways."""
    text = f"Sentence number {number}.".encode()
    raw = len(text).to_bytes(4, "little") + text
    described = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    return request(EMBED, head + raw, f"Inference-Header-Content-Length: {len(head)}")


def in_chunks(number: int) -> bytes:
    body = embed_json(number)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:10], body[10:]))
    head = f"POST {EMBED} HTTP/1.1\r\nHost: triton\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + chunks + b"0\r\n\r\n"


def packed(number: int, coding: str) -> bytes:
    body = gzip.compress(embed_json(number)) if coding == "gzip" else zlib.compress(embed_json(number))
    return request(EMBED, body, f"Content-Encoding: {coding}", f"Accept-Encoding: {coding}")


def generation(verb: str, tokens: int) -> bytes:
    body = {"text_input": "Name one colour.", "max_tokens": tokens, "stream": verb == "generate_stream"}
    return request(f"/v2/models/smollm2/{verb}", json.dumps(body).encode(), "x-inferwatch-team: ads")


LOOKED_AT = ("/v2", "/v2/models/minilm", "/v2/models/minilm/config", "/v2/models/stats", "/v2/health/live")
LOOKED_AT_TOO = ("/v2/health/ready", "/v2/models/smollm2/ready", "/v2/systemsharedmemory/status", "/v2/logging")
WRONG = (
    request("/nothing/here", method="GET"),
    request("/v2/models/absent/infer", b"{}"),
    request(EMBED, b"not JSON"),
    request("/v2/models/absent/generate", b'{"text_input":"a"}'),
    request(EMBED, b'{"inputs":[]}', "Content-Encoding: unknown"),
    request("/v2/models/minilm/versions/9/infer", embed_json(0)),
)

KINDS: dict[str, list[bytes]] = {
    "infer, JSON": [request(EMBED, embed_json(number)) for number in range(120)],
    "infer, binary": [in_binary(number) for number in range(120)],
    "infer, gzip": [packed(number, "gzip") for number in range(40)],
    "infer, deflate": [packed(number, "deflate") for number in range(40)],
    "infer, chunked": [in_chunks(number) for number in range(40)],
    "generate": [generation("generate", 2) for _ in range(3)],
    "generate_stream": [generation("generate_stream", 4) for _ in range(3)],
    "looking": [request(path, method="GET") for path in LOOKED_AT + LOOKED_AT_TOO] * 30,
    "repository": [request("/v2/repository/index", b"{}")] * 10,
    "errors": list(WRONG) * 7,
}


async def exchange(port: int, requests: list[bytes]) -> list[int]:
    """Ask one after the other over one connection, and return the statuses of the answers."""
    framer = Framer(lambda head: response_body(head, "POST"))
    heads: list[Head] = []
    ends = 0
    async with connected(port) as (reader, writer):
        for number, sent in enumerate(requests, 1):
            writer.write(sent)
            while ends < number:
                data = await reader.read(1 << 16)
                assert data, f"the connection ended after {ends} answers"
                items = framer.feed(data)
                heads += [item for item in items if isinstance(item, Head)]
                ends += sum(isinstance(item, End) for item in items)
    return [int(head.start[1]) for head in heads]


def messages() -> list[tuple[str, Any, grpc.StatusCode]]:
    """Return calls with one request each: method, request, and how it is to end."""
    ok, absent = grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND
    calls = []
    for _ in range(30):
        calls += [
            ("ServerLive", pb.ServerLiveRequest(), ok),
            ("ServerReady", pb.ServerReadyRequest(), ok),
            ("ServerMetadata", pb.ServerMetadataRequest(), ok),
            ("ModelReady", pb.ModelReadyRequest(name="minilm"), ok),
            ("ModelMetadata", pb.ModelMetadataRequest(name="minilm"), ok),
            ("ModelConfig", pb.ModelConfigRequest(name="smollm2"), ok),
            ("ModelStatistics", pb.ModelStatisticsRequest(name="minilm"), ok),
            ("RepositoryIndex", pb.RepositoryIndexRequest(), ok),
            ("NoSuchMethod", pb.ServerLiveRequest(), grpc.StatusCode.UNIMPLEMENTED),
        ]
    calls += [("ModelInfer", embedding(number), ok) for number in range(INFERENCES)]
    calls += [("ModelInfer", pb.ModelInferRequest(model_name="absent"), absent)] * ABSENT
    return calls


def a_few_tokens() -> pb.ModelInferRequest:
    """Return an inference that is answered in pieces."""
    message = pb.ModelInferRequest(model_name="smollm2", id="tokens")
    values = (("text_input", "BYTES", "bytes_contents", b"Count."), ("max_tokens", "INT32", "int_contents", 4))
    for name, datatype, field, value in (*values, ("stream", "BOOL", "bool_contents", True)):
        tensor = message.inputs.add(name=name, datatype=datatype, shape=[1])
        getattr(tensor.contents, field).append(value)
    return message


def embedding(number: int) -> pb.ModelInferRequest:
    """Return an inference, its text in the message or as bytes beside it."""
    message = pb.ModelInferRequest(model_name="minilm", id=str(number))
    tensor = message.inputs.add(name="text", datatype="BYTES", shape=[1])
    text = f"Sentence number {number}, größer.".encode()
    if number % 2:
        tensor.contents.bytes_contents.append(text)
    else:
        message.raw_input_contents.append(len(text).to_bytes(4, "little") + text)
    return message


async def call_each(port: int) -> int:
    """Make calls and a stream over one connection; return how many answers came."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        calls = messages()
        for method, message, wanted in calls:
            call = channel.unary_unary(SERVICE + method)(
                message.SerializeToString(), metadata=(("x-inferwatch-team", "ads"), ("x-own-bin", b"\x00\xff"))
            )
            assert await call.code() is wanted, await call.details()
        stream = channel.stream_stream(SERVICE + "ModelStreamInfer")()
        for number in range(STREAMED):
            await stream.write(embedding(number).SerializeToString())
            answer = pb.ModelStreamInferResponse.FromString(await stream.read())
            assert (answer.error_message, answer.infer_response.id) == ("", str(number))
        await stream.write(a_few_tokens().SerializeToString())
        await stream.done_writing()
        while await stream.read() is not grpc.aio.EOF:
            pass
        assert await stream.code() is grpc.StatusCode.OK
    return len(calls) + STREAMED + 1


def compare_http(outside: list[Conversation], inside: list[Conversation]) -> list[str]:
    """Compare the connections of both sides; return the event ids that were added."""
    added = []
    for ours, tritons in zip(outside, inside, strict=True):
        assert ours.asked == tritons.asked
        assert EVENT_ID.sub(b"", ours.answered) == tritons.answered
        added += EVENT_ID.findall(ours.answered)
    return [event_id.decode() for event_id in added]


def compare_grpc(outside: list[Conversation], inside: list[Conversation]) -> list[str]:
    """Compare frame by frame, where a block may end with the literal that is added; return the added event ids."""
    added = []
    for ours, tritons in zip(outside, inside, strict=True):
        assert ours.asked == tritons.asked
        pairs = zip(split_frames(bytes(ours.answered)), split_frames(bytes(tritons.answered)), strict=True)
        for mine, theirs in pairs:
            if mine == theirs:
                continue
            assert mine[:3] == theirs[:3]
            assert mine[0] == HEADERS
            assert mine[1] & END_HEADERS
            assert mine[3].startswith(theirs[3])
            found = LITERAL.fullmatch(mine[3][len(theirs[3]) :])
            assert found is not None
            added.append(found[1].decode())
    return added


@contextlib.asynccontextmanager
async def between(address: str, protocol: Literal["http", "grpc"]) -> AsyncIterator[tuple[Relay, Relay, Mirrored]]:
    """Yield a relay before a sidecar and one behind it."""
    host, _, port = address.rpartition(":")
    async with (
        relayed(host, int(port)) as inside,
        sidecar_before(inside.address, inside.address) as (sidecar, mirrored),
        relayed("127.0.0.1", getattr(sidecar.ports, protocol)) as outside,
    ):
        yield outside, inside, mirrored


@pytest.mark.timeout(MOST_SECONDS)
async def test_a_thousand_requests_pass_byte_for_byte(triton: RunningTriton) -> None:
    answered, ids, events = 0, [], []
    async with between(triton.http_url.removeprefix("http://"), "http") as (outside, inside, mirrored):
        for kind, requests in KINDS.items():
            statuses = await exchange(outside.port, requests)
            assert all(status == 200 if kind != "errors" else status >= 400 for status in statuses), (kind, statuses)
            answered += len(statuses)
        ids += compare_http(outside.conversations, inside.conversations)
        events += await mirrored.wait(len(ids))
    async with between(triton.grpc_url, "grpc") as (outside, inside, mirrored):
        answered += await call_each(outside.port)
        ids += compare_grpc(outside.conversations, inside.conversations)
        # A stream has one header for its first request.
        events += await mirrored.wait(INFERENCES + ABSENT + STREAMED + 1)
    assert answered >= 1_000
    assert {event.event_id for event in events} >= set(ids)
    assert len(ids) == len(set(ids)) == len(events) - STREAMED
