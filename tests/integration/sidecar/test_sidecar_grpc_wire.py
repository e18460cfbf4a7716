"""What lies under gRPC's calls passes as well: compression, windows, pings, farewells, and servers that come back."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from ingest.sidecar.h2_frames import ACK, GOAWAY, PING, PREFACE, SETTINGS, frame
from tests.integration.sidecar.grpc_upstream import (
    SERVICE,
    UNLIMITED,
    Upstream,
    asked,
    element,
    new_server,
    proxied,
    serving,
)
from tests.integration.sidecar.upstreams import DEADLINE, connected, http_upstream, sidecar_before
from tests.support.triton import free_ports
from tests.support.waiting import until

INFER = SERVICE + "ModelInfer"
STREAM = SERVICE + "ModelStreamInfer"


def output(response: bytes) -> list[bytes]:
    return list(pb.ModelInferResponse.FromString(response).raw_output_contents)


def asked_of(model: str, request_id: str = "r") -> bytes:
    return asked(request_id, model)


@pytest.mark.parametrize("coding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_calls_are_recorded_with_their_content(coding: grpc.Compression) -> None:
    upstream = Upstream()
    text = "It was a bright cold day in April. " * 40
    message = pb.ModelInferRequest(model_name="m", id="z")
    message.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    message.raw_input_contents.append(element(text))
    async with (
        serving(upstream, compression=coding) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}") as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", compression=coding) as channel,
    ):
        assert output(await channel.unary_unary(INFER)(message.SerializeToString())) == [element(text)]
        call = channel.stream_stream(STREAM)()
        await call.write(message.SerializeToString())
        await call.read()
        await call.read()
        one, many = await mirrored.wait(2)
        call.cancel()
    assert [event.input_messages[0].parts[0].content for event in (one, many)] == [text, text]
    assert many.output_messages[0].parts[0].content == "Hello"
    assert (one.response_id, many.response_id) == ("z", "z")
    assert not one.content_unavailable


async def test_calls_of_one_connection_are_told_apart_while_they_run_at_once() -> None:
    count = 100
    async with proxied() as (upstream, channel, mirrored, sidecar):
        infer = channel.unary_unary(INFER)
        slow = [asyncio.ensure_future(infer(asked_of("slow", f"s{number}"))) for number in range(count)]
        await until(lambda: upstream.hanging == count, "every slow call")
        for number in range(20):
            await infer(asked_of("m", f"q{number}"))
        assert {event.response_id for event in await mirrored.wait(20)} == {f"q{number}" for number in range(20)}
        assert sidecar.metrics()["inferwatch_sidecar_grpc_connections"] == 1
        upstream.go_on.set()
        answers = [pb.ModelInferResponse.FromString(await call) for call in slow]
        events = await mirrored.wait(20 + count)
    assert [answer.id for answer in answers] == [f"s{number}" for number in range(count)]
    assert {event.response_id for event in events[20:]} == {f"s{number}" for number in range(count)}
    assert {event.status for event in events} == {"ok"}


async def test_a_deadline_that_passes_is_told_from_a_call_that_is_cancelled() -> None:
    async with proxied() as (upstream, channel, mirrored, _):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(INFER)(asked_of("slow"), timeout=0.25)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        call = channel.unary_unary(INFER)(asked_of("slow"), timeout=30)
        await until(lambda: upstream.hanging == 2, "the second call")
        call.cancel()
        events = await mirrored.wait(2)
    ended = [(event.status, event.error_type) for event in events]
    assert ended == [("error", "DEADLINE_EXCEEDED"), ("cancelled", "CANCELLED")]


async def test_pings_are_answered_by_the_upstream() -> None:
    reached = asyncio.Event()
    payload = b"pingpong"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(frame(PING, 0, 0, payload))
        reached.set()
        writer.write(frame(SETTINGS, 0, 0) + frame(PING, ACK, 0, payload))
        await reader.read()

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(grpc=upstream) as (sidecar, _),
        connected(sidecar.ports.grpc) as (reader, writer),
    ):
        writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, payload))
        async with asyncio.timeout(DEADLINE):
            assert await reader.readuntil(frame(PING, ACK, 0, payload))
    assert reached.is_set()


async def test_calls_go_on_over_a_connection_that_is_kept_alive_by_pings() -> None:
    often = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10),
        ("grpc.http2.max_ping_strikes", 0),
    ]
    upstream = Upstream()
    async with (
        serving(upstream, options=often) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}") as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", options=often) as channel,
    ):
        call = asyncio.ensure_future(channel.unary_unary(INFER)(asked_of("slow"), timeout=30))
        await until(lambda: upstream.hanging == 1, "the call")
        await asyncio.wait([call], timeout=0.5)  # what is waited for is that nothing happens while pings pass
        assert not call.done()
        upstream.go_on.set()
        assert output(await call) == [element("Hi")]
        (seen,) = await mirrored.wait(1)
    assert seen.status == "ok"


async def test_a_client_goes_on_after_upstream_said_farewell_and_came_back() -> None:
    (port,) = free_ports(1)
    patient: list[tuple[str, Any]] = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    async with (
        sidecar_before(grpc=f"127.0.0.1:{port}") as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", options=[*UNLIMITED, *patient]) as channel,
    ):
        infer = channel.unary_unary(INFER)
        for life in range(3):
            async with serving(Upstream(), port):
                answer = await infer(asked_of("m", str(life)), wait_for_ready=True, timeout=DEADLINE)
                assert output(answer) == [element("Hi")]
        events = await mirrored.wait(3)
    assert [(event.response_id, event.status) for event in events] == [("0", "ok"), ("1", "ok"), ("2", "ok")]


async def test_running_calls_end_after_a_farewell_of_the_upstream() -> None:
    upstream = Upstream()
    server = new_server(upstream)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        sidecar_before(grpc=f"127.0.0.1:{port}") as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}") as channel,
    ):
        call = asyncio.ensure_future(channel.unary_unary(INFER)(asked_of("slow"), timeout=DEADLINE))
        await until(lambda: upstream.hanging == 1, "the call")
        stopping = asyncio.ensure_future(server.stop(DEADLINE))
        await until(lambda: channel.get_state() is not grpc.ChannelConnectivity.READY, "the farewell")
        upstream.go_on.set()
        assert output(await call) == [element("Hi")]
        await stopping
        assert (await mirrored.wait(1))[0].status == "ok"


async def test_an_upstream_that_breaks_off_leaves_its_calls_unavailable() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(PREFACE)
        writer.write(frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
        await reader.readuntil(b"text_input")
        writer.transport.abort()

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(grpc=upstream) as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", options=[("grpc.enable_retries", 0)]) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(INFER)(asked(), timeout=DEADLINE)
        (seen,) = await mirrored.wait(1)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (seen.status, seen.error_type) == ("error", "UNAVAILABLE")
    assert seen.input_messages[0].parts[0].content == "Hi"


async def test_a_client_that_ends_its_half_of_the_connection_still_gets_what_is_on_its_way() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == PREFACE
        writer.write(frame(SETTINGS, 0, 0) + frame(GOAWAY, 0, 0, bytes(8)))

    async with (
        http_upstream(answer) as upstream,
        sidecar_before(grpc=upstream) as (sidecar, _),
        connected(sidecar.ports.grpc) as (reader, writer),
    ):
        writer.write(PREFACE)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            assert await reader.read() == frame(SETTINGS, 0, 0) + frame(GOAWAY, 0, 0, bytes(8))


async def test_a_drain_lets_a_stream_finish_and_sends_new_calls_elsewhere() -> None:
    upstream = Upstream()
    async with (
        serving(upstream) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}", drain_timeout=DEADLINE) as (sidecar, mirrored),
        sidecar_before(grpc=f"127.0.0.1:{port}") as (other, others),
    ):
        both = f"ipv4:127.0.0.1:{sidecar.ports.grpc},127.0.0.1:{other.ports.grpc}"
        async with grpc.aio.insecure_channel(both) as channel:
            stream = channel.stream_stream(STREAM)()
            await stream.write(asked("a"))
            for _ in range(2):
                await stream.read()
            await mirrored.wait(1)
            stopping = asyncio.create_task(sidecar.stop())
            for number in range(20):
                await channel.unary_unary(INFER)(asked_of("m", str(number)), timeout=DEADLINE)
            await until(lambda: len(others.events()) >= 1, "calls elsewhere")
            assert not stopping.done()
            await stream.write(asked("b"))
            for _ in range(2):
                await stream.read()
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
            assert await stream.code() is grpc.StatusCode.OK
            await stopping
    assert [event.response_id for event in mirrored.events() if event.stream] == ["a", "b"]
    assert len(mirrored.events()) + len(others.events()) == 22
    assert {event.status for event in mirrored.events() + others.events()} == {"ok"}


async def test_idle_connections_are_closed_by_a_drain_without_a_failed_call() -> None:
    upstream = Upstream()
    answered = 0
    async with (
        serving(upstream) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}") as (sidecar, mirrored),
        sidecar_before(grpc=f"127.0.0.1:{port}") as (other, others),
    ):
        both = f"ipv4:127.0.0.1:{sidecar.ports.grpc},127.0.0.1:{other.ports.grpc}"
        async with grpc.aio.insecure_channel(both) as channel:
            infer = channel.unary_unary(INFER)
            await infer(asked(), timeout=DEADLINE)
            stopping = asyncio.create_task(sidecar.stop())
            while not stopping.done():
                await infer(asked(), timeout=DEADLINE)
                answered += 1
            await infer(asked(), timeout=DEADLINE)
        await until(lambda: len(mirrored.events() + others.events()) >= answered + 2, "an event of each call")
    ok = [event for event in mirrored.events() + others.events() if event.status == "ok"]
    assert len(ok) == answered + 2


async def test_what_a_drain_cuts_off_is_not_said_to_be_the_clients_doing() -> None:
    async with proxied(drain_timeout=0.1) as (_, channel, mirrored, sidecar):
        call = channel.stream_stream(STREAM)()
        await call.write(asked("hang"))
        for _ in range(2):
            await call.read()
        await sidecar.stop()
        (seen,) = await mirrored.wait(1)
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
    assert (seen.status, seen.error_type) == ("error", "UNAVAILABLE")
    assert seen.output_messages[0].parts[0].content == "Hello"
