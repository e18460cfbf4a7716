"""The gRPC port: OTLP's three services."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from ingest.collector import answers
from ingest.collector.caller import authenticate
from ingest.collector.desk import Desk
from ingest.collector.otlp.requests import PROTOBUF, decode_logs, decode_metrics, decode_traces
from ingest.collector.otlp.status import grpc_code, status_bytes
from ingest.collector.received import Received
from ingest.collector.settings import CollectorSettings
from ingest.errors import ListenError, Refused

log: Final = logging.getLogger("inferwatch.collector")

_PREFIX: Final = "opentelemetry.proto.collector"
_SERVICES: Final = {
    f"{_PREFIX}.trace.v1.TraceService": ("/v1/traces", decode_traces),
    f"{_PREFIX}.logs.v1.LogsService": ("/v1/logs", decode_logs),
    f"{_PREFIX}.metrics.v1.MetricsService": ("/v1/metrics", decode_metrics),
}
_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}
_STATUS_DETAILS: Final = "grpc-status-details-bin"
_CONNECTION_SECONDS: Final = 300.0

Handler = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]


class GrpcServer:
    """Takes the same requests as `/v1/traces`, `/v1/logs` and `/v1/metrics`, with the same keys and limits.

    Messages are decoded here and not by gRPC, which would answer a malformed one as an error of its own.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._server: Any = None

    async def start(self) -> int:
        """Listen and return the port.

        Raises:
            ListenError: the address cannot be listened on.
        """
        settings = self._desk.settings
        self._server = grpc.aio.server(
            options=(
                # Of a message as it comes and as it decompresses.
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                # A message is in memory before anybody can ask for a key: no connection may have more than all may.
                # Calls beyond that wait at the client.
                ("grpc.max_concurrent_streams", settings.in_flight_bytes // settings.max_body_bytes),
                # A message that never ends ends with its connection; well-behaved clients notice nothing.
                ("grpc.max_connection_age_ms", int(_CONNECTION_SECONDS * 1000)),
                ("grpc.max_connection_age_grace_ms", int((settings.body_seconds + settings.ack_seconds) * 1000)),
                ("grpc.so_reuseport", 0),
            )
        )
        for service, (path, decode) in _SERVICES.items():
            method = grpc.unary_unary_rpc_method_handler(self._handler(path, decode))
            handler = grpc.method_handlers_generic_handler(service, {"Export": method})
            self._server.add_generic_rpc_handlers((handler,))
        port = self._bound(settings)
        await self._server.start()
        return port

    async def stop(self, seconds: float) -> None:
        """Accept no more, let running calls finish."""
        if self._server is not None:
            await self._server.stop(seconds)

    def _bound(self, settings: CollectorSettings) -> int:
        address = (
            f"[{settings.host}]:{settings.grpc_port}"
            if ":" in settings.host
            else f"{settings.host}:{settings.grpc_port}"
        )
        try:
            if settings.tls is None:
                return int(self._server.add_insecure_port(address))
            pair = (settings.tls.key.read_bytes(), settings.tls.certificate.read_bytes())
            client_ca = None if settings.tls.client_ca is None else settings.tls.client_ca.read_bytes()
            credentials = grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise ListenError("grpc_port", settings.host, settings.grpc_port, "gRPC could not bind to it") from error

    def _handler(self, path: str, decode: Callable[[Received], Any]) -> Handler:
        async def export(message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self._desk.counters.add("inferwatch_collector_grpc_calls_total")
            try:
                return await self._taken(message, path, decode, context)
            except Refused as error:
                answers.count(self._desk.counters, error.status)
                context.set_trailing_metadata(((_STATUS_DETAILS, status_bytes(error)),))
                code, told = _CODES[grpc_code(error)], str(error)
            except Exception:
                log.exception("A call to %s failed", path)
                answers.count(self._desk.counters, 500)
                code, told = grpc.StatusCode.INTERNAL, "the collector failed to handle this call"
            await context.abort(code, told)
            raise AssertionError("abort raises")

        return export

    async def _taken(
        self,
        message: bytes,
        path: str,
        decode: Callable[[Received], Any],
        context: grpc.aio.ServicerContext[bytes, bytes],
    ) -> bytes:
        desk = self._desk
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        caller = authenticate(desk.ring, metadata)
        desk.rates.request(caller.key_id)
        with desk.in_flight.hold() as hold:
            hold.grow(len(message))
            desk.counters.add("inferwatch_collector_body_bytes_total", len(message))
            desk.rates.body(caller.key_id, len(message))
            received = desk.received(caller, path, PROTOBUF, message, metadata)
            batch = await desk.decoded(received, decode)
            return await desk.intake.accept(batch, received.repeat(batch))
