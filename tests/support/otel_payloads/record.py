"""Records what real instrumentation packages send: `python -m tests.support.otel_payloads.record [NAME …]`.

For each case a throwaway environment gets the package from PyPI, and `drive` runs the real client in it against a local
server that answers as OpenAI does. The OTLP bodies that arrive are written beside this file.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OLD = ("openai<1.60", "httpx<0.28", "numpy")
NEW = ("openai", "httpx", "opentelemetry-util-genai<1")


@dataclass(frozen=True)
class Case:
    """A package: its name in the file, what to install, what `drive` is told, and which variables it looks at."""

    name: str
    packages: tuple[str, ...]
    instrumentation: str
    variables: dict[str, str] = field(default_factory=dict)


CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
LATEST = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_and_event",
}
V2 = "opentelemetry.instrumentation.openai_v2:openai"
TRACELOOP = "opentelemetry.instrumentation.openai:openai"
CASES = (
    Case("openai-v2-2.4b0", ("opentelemetry-instrumentation-openai-v2==2.4b0", *NEW), V2, CONTENT),
    Case("openai-v2-2.4b0-latest", ("opentelemetry-instrumentation-openai-v2==2.4b0", *NEW), V2, LATEST),
    Case(
        "openai-v2-2.0b0",
        ("opentelemetry-instrumentation-openai-v2==2.0b0", "opentelemetry-instrumentation==0.51b0", *OLD),
        V2,
        CONTENT,
    ),
    Case("traceloop-openai-0.62.4", ("opentelemetry-instrumentation-openai==0.62.4", "openai"), TRACELOOP),
    Case("traceloop-openai-0.30.0", ("opentelemetry-instrumentation-openai==0.30.0", *OLD), TRACELOOP),
    Case(
        "openinference-openai-0.1.66",
        ("openinference-instrumentation-openai==0.1.66", "openai"),
        "openinference.instrumentation.openai:openai",
    ),
    Case("openlit-1.45.0", ("openlit==1.45.0", "openai"), "openlit:openai"),
    Case(
        "traceloop-langchain-0.62.4",
        ("opentelemetry-instrumentation-langchain==0.62.4", "langchain-openai", "langchain"),
        "opentelemetry.instrumentation.langchain:langchain",
    ),
    Case(
        "openinference-langchain-0.1.80",
        ("openinference-instrumentation-langchain==0.1.80", "langchain-openai", "langchain"),
        "openinference.instrumentation.langchain:langchain",
    ),
)


class FakeOpenAI(BaseHTTPRequestHandler):
    """Answers as OpenAI's API does, always the same."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = request["model"]
        if model == "refused":
            error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
            return self._answer(429, "application/json", json.dumps({"error": error}).encode())
        if self.path.endswith("/embeddings"):
            return self._answer(200, "application/json", json.dumps(_embedding(model)).encode())
        if request.get("stream"):
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(model)] + ["data: [DONE]\n\n"]
            return self._answer(200, "text/event-stream", "".join(lines).encode())
        return self._answer(200, "application/json", json.dumps(_completion(model)).encode())

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 2,
    "total_tokens": 22,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def _completion(model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "Blue."}
    if model == "tool-call":
        call = {"name": "get_weather", "arguments": '{"city":"Ulm"}'}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        }
    reason = "tool_calls" if model == "tool-call" else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": f"{model}-2024",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": USAGE,
    }


def _chunks(model: str) -> Iterator[dict[str, Any]]:
    about = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": f"{model}-2024"}
    for delta, reason in (({"role": "assistant", "content": "Bl"}, None), ({"content": "ue."}, None), ({}, "stop")):
        yield {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None}
    yield {**about, "choices": [], "usage": USAGE}


def _embedding(model: str) -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": "zczMPc3MTD4="}]
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def record(case: Case, folder: Path) -> list[Path]:
    """Install, drive, and write what arrived; return the files."""
    arrived: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            arrived.append((self.path.rpartition("/")[2], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    environment = folder / case.name
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        packages = (*case.packages, "opentelemetry-exporter-otlp-proto-http")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    with serving(FakeOpenAI) as server, serving(Receiver) as receiver:
        subprocess.run(
            [python, HERE / "drive.py", case.instrumentation, server, receiver],
            check=True,
            env={**os.environ, **case.variables, "TRACELOOP_TELEMETRY": "false"},
        )
    files = []
    for signal in ("traces", "logs"):
        bodies = [body for path, body in arrived if path == signal]
        for index, body in enumerate(bodies):
            files.append(HERE / f"{case.name}.{signal}{index or ''}.pb")
            files[-1].write_bytes(body)
    return files


def main(names: list[str]) -> None:
    """Record the named cases, or all."""
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if not names or case.name in names:
                for file in record(case, Path(os.environ.get("RECORD_ENVIRONMENTS", folder))):
                    print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
