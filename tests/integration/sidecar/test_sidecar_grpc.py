"""gRPC calls pass with everything that belongs to them, and every inference leaves one event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.integration.sidecar.upstreams import DEADLINE, sidecar_before

SERVICE = "/inference.GRPCInferenceService/"


class Upstream(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc publishes no types
    """Answers `ModelInfer`, `ModelStreamInfer` and a few methods of its own."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.left: float | None = None
        self.cancelled = asyncio.Event()

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method.startswith("/other.Service/"):
            return grpc.stream_stream_rpc_method_handler(self._echo)
        return {
            SERVICE + "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer),
            SERVICE + "ServerReady": grpc.unary_unary_rpc_method_handler(self._hang),
            SERVICE + "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream),
        }.get(handler_call_details.method)

    async def _infer(self, request: bytes, context: Any) -> bytes:
        self.metadata = dict(context.invocation_metadata())
        self.left = context.time_remaining()
        decoded = pb.ModelInferRequest.FromString(request)
        await context.send_initial_metadata((("x-first", "1"), ("x-bytes-bin", b"\x00\xff")))
        if decoded.model_name == "absent":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model", (("x-why-bin", b"\x01"),))
        context.set_trailing_metadata((("x-last", "2"),))
        response = pb.ModelInferResponse(model_name=decoded.model_name, id=decoded.id)
        response.raw_output_contents.extend(decoded.raw_input_contents)
        for given in decoded.inputs:
            response.outputs.add(name="y", datatype=given.datatype, shape=given.shape)
        return bytes(response.SerializeToString())

    async def _stream(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        try:
            async for request in requests:
                asked = pb.ModelInferRequest.FromString(request)
                for index, text in enumerate(("Hel", "lo")):
                    yield streamed(asked.id, text, final=index == 1 and asked.id != "hang")
                if asked.id == "hang":
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _hang(self, _request: bytes, _context: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""

    async def _echo(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("all echoed")


def streamed(request_id: str, text: str, *, final: bool) -> bytes:
    message = pb.ModelStreamInferResponse()
    message.infer_response.model_name = "m"
    message.infer_response.id = request_id
    message.infer_response.parameters["triton_final_response"].bool_param = final
    message.infer_response.outputs.add(name="text_output", datatype="BYTES", shape=[1])
    message.infer_response.raw_output_contents.append(element(text))
    return bytes(message.SerializeToString())


def element(text: str) -> bytes:
    return len(text).to_bytes(4, "little") + text.encode()


def asked(request_id: str = "r", model: str = "m") -> bytes:
    message = pb.ModelInferRequest(model_name=model, id=request_id)
    message.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    message.raw_input_contents.append(element("Hi"))
    return bytes(message.SerializeToString())


@contextlib.asynccontextmanager
async def proxied(**changes: Any) -> AsyncIterator[tuple[Upstream, Any, Any, Any]]:
    """Yield an upstream, a channel to the sidecar in front of it, what is mirrored, and the sidecar."""
    upstream = Upstream()
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((upstream,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            sidecar_before(grpc=f"127.0.0.1:{port}", **changes) as (sidecar, mirrored),
            grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", options=options) as channel,
        ):
            yield upstream, channel, mirrored, sidecar
    finally:
        await server.stop(None)


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
