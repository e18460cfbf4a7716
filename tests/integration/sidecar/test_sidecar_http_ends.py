"""HTTP when one side fails, leaves, does not read or does not wait, and when the sidecar stops."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import uvloop

from ingest.errors import PortTakenError
from ingest.sidecar.settings import SidecarSettings
from ingest.sidecar.sidecar import Sidecar
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


async def accepts(port: int) -> bool:
    try:
        async with connected(port):
            return True
    except ConnectionRefusedError:
        return False


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


async def test_the_model_in_a_body_that_comes_after_the_refusal_is_known() -> None:
    request = post("/v1/chat/completions", b'{"model": "llama", "messages": []}')
    async with sidecar_before() as (sidecar, mirrored), connected(sidecar.ports.http) as (reader, writer):
        writer.write(request[:-20])
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
        writer.write(request[-20:])
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.error_type, seen.model) == ("error", "502", "llama")


async def test_a_client_is_answered_whatever_keeps_upstream_from_being_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def cannot_be_looked_up(*_: object, **__: object) -> None:
        raise UnicodeError("label empty or too long")

    async with sidecar_before() as (sidecar, _), connected(sidecar.ports.http) as (reader, writer):
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", cannot_be_looked_up)
        writer.write(post(GENERATE, ASKED))
        async with asyncio.timeout(DEADLINE):
            answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert answer.endswith(b'cannot be reached: label empty or too long"}')


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


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b'data: {"text_output":"Hel"}\n\n'
STREAM = "/v2/models/m/generate_stream"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_response_without_a_length_that_breaks_off_is_whole_to_nobody(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    run(_break_off())


async def _break_off() -> None:
    go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(BEGUN)
        await go_on.wait()
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()

    async with http_upstream(answer) as upstream, sidecar_before(upstream) as (sidecar, mirrored):
        async with connected(sidecar.ports.http) as (reader, writer):
            writer.write(post(STREAM, ASKED))
            await reader.readuntil(b"\n\n")
            go_on.set()
            with pytest.raises(ConnectionResetError):
                await reader.read()
        (seen,) = await mirrored.wait(1)
    assert (seen.status, seen.error_type) == ("error", "upstream_gone")
    assert seen.output_messages[0].parts[0].content == "Hel"


async def test_a_response_without_a_length_that_a_stop_cuts_off_is_whole_to_nobody() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(BEGUN)
        await reader.read()

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(upstream, drain_timeout=0.05) as (sidecar, mirrored),
        connected(sidecar.ports.http) as (reader, writer),
    ):
        writer.write(post(STREAM, ASKED))
        await reader.readuntil(b"\n\n")
        await sidecar.stop()
        with pytest.raises(ConnectionResetError):
            await reader.read()
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
