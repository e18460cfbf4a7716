"""Exchanges over HTTP as a sidecar sees them, for tests of what is read in them."""

import json

from inferwatch.events import InferenceEvent
from ingest.sidecar.exchange import Capture, Exchange
from ingest.sidecar.parse import Defaults
from ingest.sidecar.routes import http_route
from ingest.sidecar.tap import Outcome

DEFAULTS = Defaults(environment="test", service="shop", team="search")
GENERATE = "/v2/models/smollm2/generate"
STREAM = "/v2/models/smollm2/generate_stream"
INFER = "/v2/models/ranker/versions/3/infer"
CHAT = "/v1/chat/completions"
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def captured(parts: list[tuple[float, bytes]], most: int = 1 << 20) -> Capture:
    capture = Capture(most)
    for at, data in parts:
        capture.add(at, data)
    return capture


def exchange(
    path: str,
    request: object,
    response: object,
    *,
    code: str = "200",
    outcome: Outcome = "complete",
    headers: dict[str, str] | None = None,
    response_headers: dict[str, str] | None = None,
    most: int = 1 << 20,
) -> Exchange:
    """Return an exchange that began at 100 s on the clock and ended at 103 s."""
    route = http_route("POST", path)
    assert route is not None
    asked = request if isinstance(request, bytes) else json.dumps(request).encode()
    if isinstance(response, list):
        parts = response
    else:
        parts = [(102.5, response if isinstance(response, bytes) else json.dumps(response).encode())]
    return Exchange(
        event_id="id-1",
        route=route,
        headers=headers or {},
        started_at=1_700_000_000.0,
        started=100.0,
        request=captured([(100.0, asked)], most),
        response=captured(parts, most),
        response_headers=response_headers or {},
        code=code,
        outcome=outcome,
        ended=103.0,
    )


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def texts(event: InferenceEvent) -> list[tuple[str, str | None]]:
    return [(message.role, message.parts[0].content) for message in (*event.input_messages, *event.output_messages)]
