"""Good events by every way in, each acknowledged and noted."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.collector.json_values import JSON, NDJSON
from ingest.collector.made_ids import made_id
from ingest.collector.otlp.requests import PROTOBUF
from tests.fuzz.tally import Tally
from tests.support.collector import CollectorProcess

_PAUSE_SECONDS: Final = 0.05
EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRIED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Good:
    """Sends one good request after the other; each is sent again, the same, until it is acknowledged."""

    def __init__(self, running: CollectorProcess, key: str, tally: Tally, stop: asyncio.Event) -> None:
        self._base = running.base
        self._headers = {"authorization": f"Bearer {key}"}
        self._tally = tally
        self._stop = stop
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60))
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc}")

    async def run(self) -> None:
        """Send by one way after the other until the fuzzing stops."""
        ways: list[Callable[[], Awaitable[None]]] = [
            self._object, self._lines, self._feedback, self._telemetry, self._spans, self._spans_as_json,
            self._spans_by_grpc, self._cloudevents,
        ]  # fmt: skip
        async with self._session:
            while not self._stop.is_set():
                for way in ways:
                    await way()
                    await asyncio.sleep(_PAUSE_SECONDS)
        await self._channel.close()

    async def _object(self) -> None:
        event = _event()
        await self._post("/v1/events", json.dumps(event).encode(), JSON)
        self._tally.acknowledged(event["event_id"], "events as JSON")

    async def _lines(self) -> None:
        # Without ids of their own: the answer tells them.
        events = [{"duration": 0.1, "request_model": "good"} for _ in range(3)]
        body = gzip.compress("\n".join(map(json.dumps, events)).encode())
        more = {"content-encoding": "gzip", "idempotency-key": uuid.uuid4().hex}
        answer = json.loads(await self._post("/v1/events", body, NDJSON, more))
        for event_id in answer["event_ids"]:
            self._tally.acknowledged(event_id, "events as lines")

    async def _feedback(self) -> None:
        given = {"feedback_id": str(uuid.uuid4()), "event_id": str(uuid.uuid4()), "score": 1}
        await self._post("/v1/feedback", json.dumps(given).encode(), JSON)
        self._tally.acknowledged(str(given["feedback_id"]), "feedback")

    async def _telemetry(self) -> None:
        report = {"kind": "drops", "report_id": str(uuid.uuid4()), "at": time.time(), "since": 1, "dropped": 1}
        await self._post("/v1/telemetry", json.dumps({**report, "source": "sdk", "instance": "fuzz"}).encode(), JSON)
        self._tally.acknowledged(str(report["report_id"]), "telemetry")

    async def _spans(self) -> None:
        request, event_id = _spans()
        await self._post("/v1/traces", request.SerializeToString(), PROTOBUF)
        self._tally.acknowledged(event_id, "OTLP as protobuf")

    async def _spans_as_json(self) -> None:
        request, event_id = _spans()
        as_dict = MessageToDict(request)
        span, original = as_dict["resourceSpans"][0]["scopeSpans"][0]["spans"][0], _only_span(request)
        span["traceId"], span["spanId"] = original.trace_id.hex(), original.span_id.hex()
        await self._post("/v1/traces", json.dumps(as_dict).encode(), JSON)
        self._tally.acknowledged(event_id, "OTLP as JSON")

    async def _spans_by_grpc(self) -> None:
        request, event_id = _spans()
        export = self._channel.unary_unary(EXPORT)
        while True:
            try:
                await export(request.SerializeToString(), metadata=tuple(self._headers.items()), timeout=30)
                break
            except grpc.aio.AioRpcError as error:
                self._tally.answered("good gRPC", error.code().name, {})
                if error.code() not in _RETRIED:
                    return self._tally.problem(f"a good call was refused: {error.code()} {error.details()}")
                await asyncio.sleep(0.2)
        self._tally.acknowledged(event_id, "OTLP by gRPC")

    async def _cloudevents(self) -> None:
        """Both halves, the response first every other time; the event is known by its service."""
        event_id = uuid.uuid4()
        bodies = {"request": {"instances": [[1, 2]]}, "response": {"predictions": [1]}}
        for kind in ("request", "response") if event_id.int % 2 else ("response", "request"):
            headers = {
                "ce-specversion": "1.0",
                "ce-id": str(event_id),
                "ce-source": "fuzz",
                "ce-type": f"org.kubeflow.serving.inference.{kind}",
                "ce-inferenceservicename": f"fuzz-{event_id}",
            }
            await self._post("/cloudevents", json.dumps(bodies[kind]).encode(), JSON, headers)
        self._tally.acknowledged(f"fuzz-{event_id}", "CloudEvents")

    async def _post(self, path: str, body: bytes, media_type: str, more: dict[str, str] | None = None) -> bytes:
        headers = {**self._headers, "content-type": media_type, **(more or {})}
        while True:
            try:
                async with self._session.post(self._base + path, data=body, headers=headers) as response:
                    answer = await response.read()
                    self._tally.answered(f"good {path}", response.status, response.headers)
                    if response.status == 200:
                        return answer
                    if response.status != 503:
                        self._tally.problem(f"a good request to {path} was refused: {response.status} {answer[:200]!r}")
                        raise AssertionError(answer)
            except aiohttp.ClientError as error:
                self._tally.answered(f"good {path}", type(error).__name__, {})
            await asyncio.sleep(0.2)


def _event() -> dict[str, Any]:
    return {"event_id": str(uuid.uuid4()), "duration": 0.1, "request_model": "good"}


def _spans() -> tuple[ExportTraceServiceRequest, str]:
    """Return a request with one span, and the id of the event that it becomes."""
    request = ExportTraceServiceRequest()
    ends = time.time_ns()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=uuid.uuid4().bytes,
            span_id=uuid.uuid4().bytes[:8],
            start_time_unix_nano=ends - 10**8,
            end_time_unix_nano=ends,
        )
    )
    for name, value in (("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "good")):
        span.attributes.add(key=name).value.string_value = value
    return request, made_id(span.start_time_unix_nano / 1e9, span.trace_id.hex(), span.span_id.hex())


def _only_span(request: ExportTraceServiceRequest) -> Any:
    return request.resource_spans[0].scope_spans[0].spans[0]
