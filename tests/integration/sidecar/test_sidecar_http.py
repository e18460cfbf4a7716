"""HTTP passes byte for byte, and every inference leaves one event."""

import asyncio
import gzip
import json

import pytest

from tests.integration.sidecar.upstreams import (
    ANSWERED,
    ASKED,
    DEADLINE,
    EVENT_ID,
    GENERATE,
    always,
    connected,
    http_upstream,
    ok,
    post,
    read_request,
    sidecar_before,
)
from tests.support.waiting import until

STREAM = "/v2/models/m/generate_stream"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"text_output": text}).encode() + b"\n\n"


async def test_an_inference_is_answered_and_mirrored() -> None:
    async with http_upstream(always(ok(ANSWERED))) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED, "x-inferwatch-team: ads\r\n"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(ANSWERED)) == ANSWERED
        (seen,) = await mirrored.wait(1)
        found = EVENT_ID.search(head)
        assert found is not None
        assert found[1].decode() == seen.event_id
        assert EVENT_ID.sub(b"", head) == ok(ANSWERED).removesuffix(ANSWERED)
        assert (seen.request_model, seen.team, seen.status) == ("m", "ads", "ok")
        assert seen.output_messages[0].parts[0].content == "Hello"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(post("/v2/any", b"x" * 3_000_000), id="large body"),
        pytest.param(
            b"POST /v2/any HTTP/1.1\r\nhOST:  odd \r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n",
            id="chunks",
        ),
        pytest.param(post("/v2/any", gzip.compress(b"x" * 99), "Content-Encoding: gzip\r\n"), id="gzip"),
        pytest.param(post(GENERATE, gzip.compress(ASKED), "Content-Encoding: gzip\r\n"), id="gzip inference"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n", id="pipelined"),
        pytest.param(b"\x16\x03\x01 this is not HTTP\r\n\r\n\x00\xff", id="not HTTP"),
    ],
)
async def test_requests_arrive_as_they_were_sent(request_bytes: bytes) -> None:
    arrived = bytearray()

    async def keep(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            arrived.extend(data)

    async with (
        http_upstream(keep) as upstream,
        sidecar_before(upstream) as (sidecar, _),
        connected(sidecar.ports.http) as (_, writer),
    ):
        writer.write(request_bytes)
        await until(lambda: len(arrived) >= len(request_bytes), "the request")
    assert bytes(arrived) == request_bytes


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(ok(b"y" * 3_000_000), id="large body"),
        pytest.param(ok(gzip.compress(b"y" * 999), "Content-Encoding: gzip\r\nX-Odd:   spaces \r\n"), id="gzip"),
        pytest.param(SSE_HEAD + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\nX-T: 1\r\n\r\n", id="chunks"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"done"), id="100-continue"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", id="no length"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="no content"),
        pytest.param(b"not HTTP at all\r\n\r\n", id="not HTTP"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/health/ready", GENERATE])
async def test_responses_arrive_as_they_were_sent(response: bytes, path: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response)
        await writer.drain()

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(upstream) as (sidecar, _),
        connected(sidecar.ports.http) as (reader, writer),
    ):
        writer.write(post(path, ASKED))
        arrived = await reader.read()
    added = EVENT_ID.findall(arrived)
    assert len(added) == (1 if path == GENERATE and response.startswith(b"HTTP/") else 0)
    assert EVENT_ID.sub(b"", arrived) == response


async def test_a_connection_is_kept_for_many_requests() -> None:
    async with http_upstream(always(ok(ANSWERED))) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            for _ in range(3):
                writer.write(post(GENERATE, ASKED))
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(ANSWERED))
        assert len({seen.event_id for seen in await mirrored.wait(3)}) == 3
        assert sidecar.metrics()["inferwatch_sidecar_http_requests_total"] == 3


async def test_a_response_to_head_has_no_body_and_the_connection_goes_on() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    async with (
        http_upstream(always(head)) as upstream,
        sidecar_before(upstream) as (sidecar, _),
        connected(sidecar.ports.http) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == head


async def test_a_stream_passes_piece_by_piece_and_is_timed() -> None:
    go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(SSE_HEAD + chunk(event("Hel")))
        await go_on.wait()
        writer.write(chunk(event("lo")) + b"0\r\n\r\n")

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(STREAM, ASKED))
            first = await reader.readuntil(b"\n\n\r\n")
            assert first.endswith(chunk(event("Hel")))
            go_on.set()
            await reader.readuntil(b"0\r\n\r\n")
        (seen,) = await mirrored.wait(1)
    assert seen.output_messages[0].parts[0].content == "Hello"
    assert seen.time_to_first_token is not None
    assert 0 < seen.time_to_first_token < seen.duration


async def test_a_client_that_leaves_is_noticed_by_both_sides() -> None:
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(SSE_HEAD + chunk(event("Hel")))
        assert await reader.read() == b""
        gone.set()

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(STREAM, ASKED))
            await reader.readuntil(b"\n\n\r\n")
        await asyncio.wait_for(gone.wait(), DEADLINE)
        (seen,) = await mirrored.wait(1)
    assert seen.status == "cancelled"
    assert seen.output_messages[0].parts[0].content == "Hel"
