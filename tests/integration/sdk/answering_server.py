"""A server in a collector's place that answers as a test says, and keeps what it took, once for each key."""

from __future__ import annotations

import contextlib
import gzip
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal

_DRIPS: Final = 400
_BETWEEN_DRIPS: Final = 0.02


@dataclass(frozen=True)
class Answer:
    """How to answer one request.

    `takes` says whether its events are kept, which a 2xx does anyway. `waits` is waited for before the answer; `leaves`
    closes the connection in place of an answer, `leaves_after` behind it. Of one that `drips` the head or the body
    comes byte by byte, until whoever asked has left.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    takes: bool = False
    leaves: bool = False
    leaves_after: bool = False
    waits: threading.Event | None = None
    drips: Literal["head", "body"] | None = None


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
        if answer.drips == "head":
            self._drip(b"x-slow: ")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if answer.drips == "body":
            self._drip(b"")
        self.wfile.write(answer.body)

    def _drip(self, first: bytes) -> None:
        self.flush_headers()
        self.wfile.write(first)
        with contextlib.suppress(OSError):
            for _ in range(_DRIPS):
                self.wfile.write(b"a")
                if select.select([self.connection], [], [], _BETWEEN_DRIPS)[0]:
                    break
        self.close_connection = True

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
