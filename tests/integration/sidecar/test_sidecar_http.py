"""HTTP passes byte for byte, and every inference leaves one event."""

import asyncio
import gzip
import json
import re
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ingest.errors import PortTakenError
from ingest.sidecar.settings import SidecarSettings
from ingest.sidecar.sidecar import Sidecar
from tests.integration.sidecar.upstreams import (
    DEADLINE,
    always,
    connected,
    http_upstream,
    ok,
    post,
    read_request,
    sidecar_before,
)
from tests.support.waiting import until

GENERATE = "/v2/models/m/generate"
STREAM = "/v2/models/m/generate_stream"
ASKED = json.dumps({"text_input": "Hi"}).encode()
ANSWERED = json.dumps({"model_name": "m", "model_version": "1", "text_output": "Hello"}).encode()
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT_ID = re.compile(rb"x-inferwatch-event-id: ([0-9a-f-]{36})\r\n")


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"text_output": text}).encode() + b"\n\n"


async def accepts(port: int) -> bool:
    try:
        async with connected(port):
            return True
    except ConnectionRefusedError:
        return False


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


async def test_an_upstream_that_is_down_is_answered_with_502_and_its_name() -> None:
    async with sidecar_before() as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert "127.0.0.1:1" in json.loads(body)["error"]
        (seen,) = await mirrored.wait(1)
        assert (seen.status, seen.error_type) == ("error", "502")
        assert EVENT_ID.findall(head) == [seen.event_id.encode()]
        assert sidecar.metrics()["inferwatch_sidecar_upstream_errors_total"] == 1


async def test_a_large_upload_to_an_upstream_that_is_down_still_gets_its_answer() -> None:
    async with sidecar_before() as (sidecar, _), connected(sidecar.ports.http) as (reader, writer):
        writer.write(post(GENERATE, b"x" * 8_000_000))
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")


async def test_an_upstream_that_closes_without_an_answer_is_answered_for() -> None:
    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED))
            assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.error_type) == ("error", "502")


async def test_an_answer_that_comes_before_the_end_of_the_request_is_not_lost() -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        writer.write_eof()
        while await reader.read(1 << 16):
            pass

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, bytes(20_000_000)))
            await writer.drain()
            assert EVENT_ID.sub(b"", await reader.read()) == refusal
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.error_type) == ("error", "413")


async def test_a_connection_that_upstream_ends_between_requests_is_ended() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ok(ANSWERED))

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(upstream) as (sidecar, _),
        connected(sidecar.ports.http) as (reader, writer),
    ):
        writer.write(post("/v2/any", ASKED))
        assert await reader.read() == ok(ANSWERED)
        await until(lambda: not sidecar.metrics()["inferwatch_sidecar_http_connections"], "the end")


async def test_a_stop_closes_idle_connections_at_once() -> None:
    async with (
        http_upstream(always(ok(ANSWERED))) as upstream,
        sidecar_before(upstream, drain_timeout=60.0) as (sidecar, _),
        connected(sidecar.ports.http) as (reader, writer),
    ):
        writer.write(post("/v2/any", ASKED))
        await reader.readexactly(len(ok(ANSWERED)))
        async with asyncio.timeout(DEADLINE):
            await sidecar.stop()
        assert await reader.read() == b""


async def test_an_upstream_that_breaks_off_breaks_off_for_the_client_too() -> None:
    part = ok(ANSWERED)[:-5]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(part)

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED))
            assert EVENT_ID.sub(b"", await reader.read()) == part
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.error_type) == ("error", "upstream_gone")


async def test_a_client_that_does_not_read_stops_the_upstream() -> None:
    size = 50_000_000
    stalled = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 1_000_000):
            writer.write(b"y" * 1_000_000)
            try:
                async with asyncio.timeout(0.3):
                    await writer.drain()
            except TimeoutError:
                stalled.set()
                await writer.drain()

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(upstream) as (sidecar, _),
        connected(sidecar.ports.http, limit=1 << 16) as (reader, writer),
    ):
        writer.write(post("/v2/any", b""))
        await asyncio.wait_for(stalled.wait(), DEADLINE)
        await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.readexactly(size)) == size


async def test_a_client_that_does_not_wait_for_responses_is_read_no_further() -> None:
    count = 50_000
    asked = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"
    answer_all = asyncio.Event()
    arrived = bytearray()

    def came(number: int) -> bool:
        return len(arrived) >= (number + 1) * len(asked)

    async def read_on(reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            arrived.extend(data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(read_on(reader))
            await answer_all.wait()
            for answered in range(count):
                if not came(answered):
                    await until(partial(came, answered), "more requests")
                writer.write(ok(b""))

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(upstream) as (sidecar, _),
        connected(sidecar.ports.http) as (reader, writer),
    ):
        writer.write(asked * count)
        await until(lambda: len(arrived) >= 64 * len(asked), "the first requests")
        for _ in range(500):
            await asyncio.sleep(0)
        assert sidecar.metrics()["inferwatch_sidecar_http_requests_total"] < count // 2
        answer_all.set()
        assert await reader.readexactly(count * len(ok(b""))) == ok(b"") * count


async def test_a_client_that_ends_its_half_gets_a_response_that_ends_with_the_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        assert await reader.read() == b""
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + ANSWERED)

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED))
            writer.write_eof()
            assert (await reader.read()).endswith(ANSWERED)
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.output_messages[0].parts[0].content) == ("ok", "Hello")


async def test_a_response_that_is_not_what_it_says_is_mirrored_without_content() -> None:
    async with http_upstream(always(ok(b"<html>"))) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED))
            await reader.readuntil(b"<html>")
        (seen,) = await mirrored.wait(1)
        assert seen.content_unavailable
        assert sidecar.metrics()["inferwatch_sidecar_parse_errors_total"] == 1


async def test_a_stop_lets_a_running_request_finish() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await go_on.wait()
        writer.write(ok(ANSWERED))

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(GENERATE, ASKED))
            await asyncio.wait_for(arrived.wait(), DEADLINE)
            stopping = asyncio.create_task(sidecar.stop())
            while await accepts(sidecar.ports.http):
                assert not stopping.done()
            go_on.set()
            assert (await reader.read()).endswith(ANSWERED)
            await stopping
        assert len(mirrored.events()) == 1


@pytest.mark.parametrize("setting", ["http_port", "grpc_port", "admin_port"])
async def test_a_taken_port_is_said_to_be_taken(setting: str) -> None:
    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = int(taken.sockets[0].getsockname()[1])
    changed: dict[str, Any] = {setting: port}
    settings = replace(SidecarSettings(http_port=0, grpc_port=0, admin_port=0), **changed)
    with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port} \({setting}\)"):
        await Sidecar(settings).start()
    taken.close()
    await taken.wait_closed()
