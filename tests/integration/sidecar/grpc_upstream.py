"""A gRPC server that stands in for Triton, and a channel through a sidecar in front of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb

from ingest.sidecar.sidecar import Sidecar
from tests.integration.sidecar.upstreams import Mirrored, sidecar_before

SERVICE = "/inference.GRPCInferenceService/"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Upstream(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc publishes no types
    """Answers `ModelInfer`, `ModelStreamInfer` and a few methods of its own."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.metadata_of_all: list[dict[str, Any]] = []
        self.hanging = 0
        self.adds: tuple[tuple[str, str], ...] = ()
        self.left: float | None = None
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()

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
        self.metadata_of_all.append(self.metadata)
        self.left = context.time_remaining()
        decoded = pb.ModelInferRequest.FromString(request)
        await context.send_initial_metadata((("x-first", "1"), ("x-bytes-bin", b"\x00\xff"), *self.adds))
        if decoded.model_name == "slow":
            self.hanging += 1
            await self.go_on.wait()
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


def new_server(
    upstream: Upstream, options: Sequence[tuple[str, Any]] = (), compression: grpc.Compression | None = None
) -> Any:
    """Return a server that does not listen yet; a port that another one listens on is an error, not shared with it."""
    server = grpc.aio.server(options=[*UNLIMITED, ("grpc.so_reuseport", 0), *options], compression=compression)
    server.add_generic_rpc_handlers((upstream,))
    return server


@contextlib.asynccontextmanager
async def serving(
    upstream: Upstream,
    port: int = 0,
    credentials: Any = None,
    options: Sequence[tuple[str, Any]] = (),
    compression: grpc.Compression | None = None,
) -> AsyncIterator[int]:
    """Serve on a port of this machine and yield it."""
    server = new_server(upstream, options, compression)
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def proxied(
    *, options: Sequence[tuple[str, Any]] = (), **changes: Any
) -> AsyncIterator[tuple[Upstream, Any, Mirrored, Sidecar]]:
    """Yield an upstream, a channel to the sidecar in front of it, what is mirrored, and the sidecar."""
    upstream = Upstream()
    async with (
        serving(upstream) as port,
        sidecar_before(grpc=f"127.0.0.1:{port}", **changes) as (sidecar, mirrored),
        grpc.aio.insecure_channel(f"127.0.0.1:{sidecar.ports.grpc}", options=[*UNLIMITED, *options]) as channel,
    ):
        yield upstream, channel, mirrored, sidecar
