"""gRPC: every call is passed on as it is, whatever its method; messages are bytes that nobody decodes on the way.

Metadata, deadline, cancellation, status and trailers go through. A call's compression and user agent do not: they
belong to the two connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from inferwatch.clock import Clock
from ingest.errors import ListenError, PortTakenError
from ingest.sidecar.metrics import Counters
from ingest.sidecar.settings import SidecarSettings
from ingest.sidecar.tap import GrpcObserver, Metadata, Outcome, Tap

log: Final = logging.getLogger("inferwatch.sidecar")

_SERVICE: Final = "/inference.GRPCInferenceService/"
_STREAMING: Final = _SERVICE + "ModelStreamInfer"
_NOT_PASSED_ON: Final = ("user-agent", "te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding")
_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_SERVER_OPTIONS: Final = (*_OPTIONS, ("grpc.so_reuseport", 0))
_CHANNEL_OPTIONS: Final = (
    *_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
)


class GrpcProxy:
    """Listens for gRPC clients and passes their calls on over one connection."""

    def __init__(self, settings: SidecarSettings, tap: Tap, clock: Clock, counters: Counters) -> None:
        self._settings = settings
        self._tap = tap
        self._clock = clock
        self._counters = counters
        self._server: Any = None
        self._channel: Any = None

    async def start(self) -> int:
        """Listen and return the port.

        Raises:
            ListenError: the address cannot be listened on; `PortTakenError` where something else does.
        """
        host, port = self._settings.host, self._settings.grpc_port
        # grpc says only that binding failed, and logs the reason; a socket of our own tells it.
        await _check_free(host, port)
        self._server = grpc.aio.server(options=_SERVER_OPTIONS)
        self._channel = grpc.aio.insecure_channel(self._settings.upstream_grpc, options=_CHANNEL_OPTIONS)
        self._server.add_generic_rpc_handlers((_Handlers(self._handler),))
        try:
            bound = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise ListenError("grpc_port", host, port, str(error)) from error
        await self._server.start()
        return int(bound)

    async def drain(self) -> None:
        """Accept no more, let running calls finish for at most `drain_timeout` seconds, cancel the rest."""
        if self._server is not None:
            await self._server.stop(self._settings.drain_timeout)
        if self._channel is not None:
            await self._channel.close()

    def _handler(self, method: str) -> Any:
        if method.startswith(_SERVICE) and method != _STREAMING:
            return grpc.unary_unary_rpc_method_handler(self._unary(method))
        return grpc.stream_stream_rpc_method_handler(self._streaming(method))

    def _unary(self, method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        """Return a handler for one request and one response: cheaper than two streams, the same on the wire."""
        callee = self._channel.unary_unary(method)

        async def unary(request: bytes, context: Any) -> bytes:
            watch, metadata = self._begin(method, context)
            watch.request(request)
            call = callee(request, timeout=context.time_remaining(), metadata=metadata)
            try:
                response: bytes = await call
                watch.response(response)
                await _send_initial_metadata(context, await call.initial_metadata(), watch)
                context.set_trailing_metadata(await call.trailing_metadata())
                watch.end("complete")
                return response
            except grpc.aio.AioRpcError:
                await _send_initial_metadata(context, await call.initial_metadata(), watch)
                await self._fail(call, context, watch)
                raise
            except asyncio.CancelledError:
                call.cancel()
                watch.client_gone(context)
                raise

        return unary

    def _streaming(self, method: str) -> Callable[[Any, Any], Awaitable[None]]:
        callee = self._channel.stream_stream(method)

        async def streaming(_requests: Any, context: Any) -> None:
            watch, metadata = self._begin(method, context)
            call = callee(timeout=context.time_remaining(), metadata=metadata)
            upload = asyncio.create_task(_upload(context, call, watch))
            try:
                await _send_initial_metadata(context, await call.initial_metadata(), watch)
                while (message := await call.read()) is not grpc.aio.EOF:
                    watch.response(message)
                    await context.write(message)
                if await call.code() is not grpc.StatusCode.OK:
                    await self._fail(call, context, watch)
                context.set_trailing_metadata(await call.trailing_metadata())
                watch.end("complete")
            except grpc.aio.AioRpcError:
                await self._fail(call, context, watch)
            except asyncio.CancelledError:
                call.cancel()
                watch.client_gone(context)
                raise
            finally:
                upload.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await upload

        return streaming

    def _begin(self, method: str, context: Any) -> tuple[_Watch, Metadata]:
        self._counters.add("inferwatch_sidecar_grpc_calls_total")
        metadata = tuple(
            (key, value) for key, value in context.invocation_metadata() or () if key not in _NOT_PASSED_ON
        )
        return _Watch(self._tap, self._clock, self._counters, method, metadata), metadata

    async def _fail(self, call: Any, context: Any, watch: _Watch) -> None:
        """End a call as upstream ended it; always raises."""
        code, details = await call.code(), await call.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            self._counters.add("inferwatch_sidecar_upstream_errors_total")
        watch.end("complete", code.name, details)
        await context.abort(code, details, tuple(await call.trailing_metadata() or ()))


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc publishes no types
    """Answers for every method, and makes each one's handler once."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._made: dict[str, Any] = {}

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if method not in self._made:
            if len(self._made) > 1_000:
                self._made.clear()
            self._made[method] = self._make(method)
        return self._made[method]


class _Watch:
    """An observer that may be absent and may fail, neither of which the call notices."""

    def __init__(self, tap: Tap, clock: Clock, counters: Counters, method: str, metadata: Metadata) -> None:
        self._clock = clock
        self._counters = counters
        self._observer: GrpcObserver | None = None
        self.added: Metadata = ()
        try:
            self._observer = tap.grpc(clock.elapsed(), method, metadata)
            if self._observer is not None:
                self.added = self._observer.added_metadata
        except Exception:
            self._failed()

    def request(self, message: bytes) -> None:
        if self._observer is not None:
            try:
                self._observer.request(self._clock.elapsed(), message)
            except Exception:
                self._failed()

    def response(self, message: bytes) -> None:
        if self._observer is not None:
            try:
                self._observer.response(self._clock.elapsed(), message)
            except Exception:
                self._failed()

    def client_gone(self, context: Any) -> None:
        """See that the client cancelled, or that its deadline has passed."""
        self._counters.add("inferwatch_sidecar_client_gone_total")
        left = context.time_remaining()
        if left is not None and left <= 0:
            self.end("complete", "DEADLINE_EXCEEDED", "the client's deadline passed")
        else:
            self.end("client_gone", "CANCELLED", "")

    def end(self, outcome: Outcome, code: str = "OK", details: str = "") -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            try:
                observer.end(self._clock.elapsed(), outcome, code, details)
            except Exception:
                self._failed()

    def _failed(self) -> None:
        self._observer = None
        self._counters.add("inferwatch_sidecar_observer_errors_total")
        log.exception("A call passes unobserved from here on")


async def _send_initial_metadata(context: Any, metadata: Any, watch: _Watch) -> None:
    everything = (*(metadata or ()), *watch.added)
    if everything:
        await context.send_initial_metadata(everything)


async def _upload(context: Any, call: Any, watch: _Watch) -> None:
    """Pass the client's messages on until it has no more or the call has ended, whose status says how."""
    with contextlib.suppress(grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
        while (message := await context.read()) is not grpc.aio.EOF:
            watch.request(message)
            await call.write(message)
        await call.done_writing()


async def _check_free(host: str, port: int) -> None:
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    except OSError as error:
        if port:
            raise PortTakenError("grpc_port", host, port) from error
        raise ListenError("grpc_port", host, port, error.strerror or str(error)) from error
    server.close()
    await server.wait_closed()
