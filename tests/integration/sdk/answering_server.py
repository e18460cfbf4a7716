"""A server in a collector's place that answers as a test says, and keeps what it took, once for each key."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """How to answer one request.

    `takes` says whether its events are kept, which a 2xx does anyway. `waits` is waited for before the answer; `leaves`
    closes the connection in place of an answer, `leaves_after` behind it.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    takes: bool = False
    leaves: bool = False
    leaves_after: bool = False
    waits: threading.Event | None = None


@dataclass(frozen=True)
class Request:
    """One request as it came, at `at` of the monotonic clock, over the connection from `port`."""

    path: str
    headers: Mapping[str, str]
    lines: tuple[bytes, ...]
    at: float
    port: int

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


class AnsweringServer(ThreadingHTTPServer):
    """Gives the answers of `answers` one after the other, then what `decide` says, which is 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: deque[Answer] = deque()
        self.decide: Callable[[Request], Answer] = lambda _: Answer()
        self.requests: list[Request] = []
        self.taken: dict[str, tuple[bytes, ...]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def lines(self) -> list[bytes]:
        """Return every event that was taken."""
        return [line for lines in self.taken.values() for line in lines]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave, which is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: AnsweringServer

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
        request = Request(
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            tuple(body.split(b"\n")),
            time.monotonic(),
            self.client_address[1],
        )
        self.server.requests.append(request)
        answer = self.server.answers.popleft() if self.server.answers else self.server.decide(request)
        if answer.takes or 200 <= answer.status < 300:
            self.server.taken.setdefault(request.key, request.lines)
        if answer.waits is not None:
            answer.waits.wait(60.0)
        self.close_connection = answer.leaves or answer.leaves_after
        if not answer.leaves:
            self._say(answer)

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def answering_server(certificate: Path | None = None, key: Path | None = None) -> Iterator[AnsweringServer]:
    """A running server on a free port; with TLS where there is a certificate."""
    with AnsweringServer() as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
