"""gRPC calls pass with everything that belongs to them, and every inference leaves one event."""

import asyncio

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.integration.sidecar.grpc_upstream import SERVICE, asked, element, proxied
from tests.integration.sidecar.upstreams import DEADLINE, sidecar_before


async def test_a_unary_inference_passes_with_its_metadata_and_is_mirrored() -> None:
    async with proxied() as (upstream, channel, mirrored, _):
        sent = (("x-inferwatch-team", "ads"), ("x-own-bin", b"\x00\x01"))
        call = channel.unary_unary(SERVICE + "ModelInfer")(asked(), metadata=sent, timeout=30)
        response = pb.ModelInferResponse.FromString(await call)
        first, last = dict(await call.initial_metadata()), dict(await call.trailing_metadata())
        (seen,) = await mirrored.wait(1)
    assert response.raw_output_contents == [element("Hi")]
    assert (upstream.metadata["x-inferwatch-team"], upstream.metadata["x-own-bin"]) == ("ads", b"\x00\x01")
    assert upstream.left is not None
    assert 25 < upstream.left < 31  # gRPC rounds a timeout up on the wire
    assert (first["x-first"], first["x-bytes-bin"], last["x-last"]) == ("1", b"\x00\xff", "2")
    assert first["x-inferwatch-event-id"] == seen.event_id
    assert (seen.request_model, seen.team, seen.response_id, seen.source) == ("m", "ads", "r", "sidecar-grpc")
    assert seen.input_messages[0].parts[0].content == "Hi"


async def test_a_status_passes_with_details_and_trailers() -> None:
    async with proxied() as (_, channel, mirrored, _):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(SERVICE + "ModelInfer")(asked(model="absent"))
        (seen,) = await mirrored.wait(1)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such model")
    assert dict(failed.value.trailing_metadata())["x-why-bin"] == b"\x01"
    assert dict(failed.value.initial_metadata())["x-first"] == "1"
    assert (seen.status, seen.error_type, seen.error_message) == ("error", "NOT_FOUND", "no such model")


async def test_an_unknown_method_is_refused_by_the_upstream() -> None:
    async with proxied() as (_, channel, mirrored, _):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/no.Such/Method")(b"")
        assert mirrored.events() == []
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_any_other_stream_passes_with_its_status() -> None:
    async with proxied() as (_, channel, mirrored, _):
        call = channel.stream_stream("/other.Service/Echo")()
        for message in (b"one", b"", b"x" * 100_000):
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call.read()
        assert mirrored.events() == []
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.DATA_LOSS, "all echoed")


async def test_a_large_message_passes() -> None:
    message = pb.ModelInferRequest(model_name="m", raw_input_contents=[bytes(20_000_000)])
    message.inputs.add(name="x", datatype="UINT8", shape=[20_000_000])
    async with proxied() as (_, channel, mirrored, _):
        response = await channel.unary_unary(SERVICE + "ModelInfer")(message.SerializeToString())
        assert pb.ModelInferResponse.FromString(response).raw_output_contents == [bytes(20_000_000)]
        (seen,) = await mirrored.wait(1)
    assert [(item.name, item.count, item.mean) for item in seen.input_tensors] == [("x", 20_000_000, None)]
    assert seen.content_unavailable


async def test_a_stream_leaves_an_event_for_each_request() -> None:
    async with proxied() as (_, channel, mirrored, _):
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")()
        for request_id in ("a", "b"):
            await call.write(asked(request_id))
            for _ in range(2):
                assert pb.ModelStreamInferResponse.FromString(await call.read()).infer_response.id == request_id
        seen = await mirrored.wait(2)
        first = dict(await call.initial_metadata())
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        assert len(await mirrored.wait(2)) == 2
    assert [event.response_id for event in seen] == ["a", "b"]
    assert [event.output_messages[0].parts[0].content for event in seen] == ["Hello", "Hello"]
    assert first["x-inferwatch-event-id"] == seen[0].event_id
    assert all(event.time_to_first_token is not None for event in seen)


async def test_a_stream_that_the_client_cancels_is_cancelled_upstream() -> None:
    async with proxied() as (upstream, channel, mirrored, _):
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")()
        await call.write(asked("hang"))
        for _ in range(2):
            await call.read()
        call.cancel()
        await asyncio.wait_for(upstream.cancelled.wait(), DEADLINE)
        (seen,) = await mirrored.wait(1)
    assert seen.status == "cancelled"
    assert seen.output_messages[0].parts[0].content == "Hello"


async def test_a_deadline_is_the_upstreams_deadline_too() -> None:
    async with proxied() as (upstream, channel, _, _):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(SERVICE + "ServerReady")(b"", timeout=0.2)
        await asyncio.wait_for(upstream.cancelled.wait(), DEADLINE)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_upstream_that_is_down_is_unavailable_by_name() -> None:
    async with sidecar_before() as (sidecar, mirrored):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await channel.unary_unary(SERVICE + "ModelInfer")(asked())
        (seen,) = await mirrored.wait(1)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "127.0.0.1:1" in failed.value.details()
    assert (seen.status, seen.error_type) == ("error", "UNAVAILABLE")
