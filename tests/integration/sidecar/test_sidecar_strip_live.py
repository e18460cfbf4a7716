"""With stripping, Triton sees no header of ours, the event has all of them, and everything else is as it was."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from tests.integration.sidecar.grpc_upstream import SERVICE, Upstream, asked, proxied, serving
from tests.integration.sidecar.upstreams import GENERATE, connected, http_upstream, ok, post, sidecar_before
from tests.support.waiting import until

ASKED = json.dumps({"text_input": "x-inferwatch-team: in the text\r\n"}).encode()
ANSWER = ok(b'{"text_output":"Hello"}')
OURS = "X-Inferwatch-Team: ads\r\nx-inferwatch-user: ann\r\n"
CHUNKED = "POST {} HTTP/1.1\r\nHost: triton\r\n{}Transfer-Encoding: chunked\r\n\r\n"


def chunked(headers: str) -> bytes:
    """Return a request in chunks, with a trailer."""
    chunks = (
        b"5;x=y\r\n" + ASKED[:5] + b"\r\n" + f"{len(ASKED) - 5:x}\r\n".encode() + ASKED[5:] + b"\r\n0\r\nT: 1\r\n\r\n"
    )
    return CHUNKED.format(GENERATE, headers).encode() + chunks


@pytest.mark.parametrize("pipelined", [True, False])
async def test_requests_reach_upstream_without_our_headers(pipelined: bool) -> None:
    arrived = bytearray()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        while data := await reader.read(1 << 16):
            arrived.extend(data)
            complete = arrived.count(ASKED) + arrived.count(ASKED[5:] + b"\r\n0\r\nT: 1\r\n\r\n")
            writer.write(ANSWER * (complete - answered))
            answered = complete

    forms = [post(GENERATE, ASKED, OURS), chunked(OURS), post("/v2/any", ASKED, OURS), chunked(OURS)]
    plain = [post(GENERATE, ASKED), chunked(""), post("/v2/any", ASKED), chunked("")]
    async with (
        http_upstream(keep) as upstream,
        sidecar_before(upstream, strip_headers=True) as (sidecar, mirrored),
    ):
        async with connected(sidecar.ports.http) as (reader, writer):
            for form in [b"".join(forms)] if pipelined else forms:
                writer.write(form)
                for _ in range(4 if pipelined else 1):
                    await reader.readuntil(b'"Hello"}')
        events = await mirrored.wait(3)
    assert bytes(arrived) == b"".join(plain)
    assert [(event.team, event.user) for event in events] == [("ads", "ann")] * 3


async def test_a_head_is_sent_on_only_once_it_is_complete() -> None:
    arrived = bytearray()

    async def keep(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            arrived.extend(data)

    request = post(GENERATE, ASKED, OURS)
    cut = request.index(b"Inferwatch")
    async with (
        http_upstream(keep) as upstream,
        sidecar_before(upstream, strip_headers=True) as (sidecar, _),
        connected(sidecar.ports.http) as (_, writer),
    ):
        for place in range(0, cut + 40, 7):
            writer.write(request[place : place + 7])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(request[place + 7 :])
        await until(lambda: arrived.endswith(ASKED), "the request")
    assert bytes(arrived) == post(GENERATE, ASKED)


async def test_many_calls_of_one_connection_lose_our_metadata_and_nothing_else() -> None:
    calls = 60
    async with proxied(strip_headers=True) as (upstream, channel, mirrored, _):
        infer = channel.unary_unary(SERVICE + "ModelInfer")
        for number in range(calls):
            sent = (
                ("x-inferwatch-team", f"team-{number % 3}"),
                ("x-own", f"{number % 5}" * 50),
                ("x-own-bin", bytes((number,))),
                ("x-inferwatch-user", "ann"),
            )
            await infer(asked(str(number)), metadata=sent)
        events = await mirrored.wait(calls)
    assert [event.team for event in events] == [f"team-{number % 3}" for number in range(calls)]
    for number, metadata in enumerate(upstream.metadata_of_all):
        assert (metadata["x-own"], metadata["x-own-bin"]) == (f"{number % 5}" * 50, bytes((number,)))
        assert not [name for name in metadata if name.startswith("x-inferwatch-")]
    assert len(upstream.metadata_of_all) == calls


@pytest.mark.parametrize("strip", [True, False])
async def test_metadata_too_large_for_one_frame_passes_both_ways(strip: bool) -> None:
    large = [("grpc.max_metadata_size", 1 << 20), ("grpc.absolute_max_metadata_size", 1 << 20)]
    value = "".join(f"{number:07} " for number in range(5_000)).strip()
    upstream = Upstream()
    upstream.adds = (("x-large", value),)
    async with (
        serving(upstream, options=large) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}", strip_headers=strip) as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", options=large) as channel,
    ):
        for number in range(3):
            call = channel.unary_unary(SERVICE + "ModelInfer")(asked(), metadata=(("x-asked", f"{number} {value}"),))
            await call
            got = dict(await call.initial_metadata())
            assert got["x-large"] == value
            assert upstream.metadata["x-asked"] == f"{number} {value}"
            assert got["x-inferwatch-event-id"] == (await mirrored.wait(number + 1))[-1].event_id
        assert sidecar.metrics()["inferwatch_sidecar_unreadable_connections_total"] == 0


async def test_streams_and_other_services_pass_through_stripping() -> None:
    async with proxied(strip_headers=True) as (_, channel, mirrored, _):
        echo = channel.stream_stream("/other.Service/Echo")(metadata=(("x-inferwatch-team", "ads"),))
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")(metadata=(("x-inferwatch-team", "ads"),))
        for message in (b"one", b"", b"x" * 100_000):
            await echo.write(message)
            await call.write(asked("r"))
            assert await echo.read() == message
            await call.read()
            await call.read()
        events = await mirrored.wait(3)
        echo.cancel()
        call.cancel()
    assert {event.team for event in events} == {"ads"}
