"""A gRPC connection with a watch between its ends, and a tap that keeps what it is told of its calls."""

from __future__ import annotations

from ingest.sidecar.budget import Budget, Keeping
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.grpc_watch import GrpcWatch
from ingest.sidecar.h2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
)
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import HttpObserver, Outcome
from tests.unit.sidecar.h2_streams import Encoding

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ADDED = (("x-inferwatch-event-id", "e1"),)
HELLO = b"\x00\x00\x00\x00\x05Hello"
SERVED = frame(SETTINGS, 0, 0)
ANSWER: Headers = ((":status", "200"), ("content-type", "application/grpc"))


class SetClock:
    """A clock that goes as far as it is told."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return 1_000.0 + self.at

    def elapsed(self) -> float:
        return self.at


class Call:
    """What is told about one call; raises where its tap says so."""

    added_metadata: Headers = ADDED

    def __init__(self, fails_at: str) -> None:
        self.told: list[tuple[str, object]] = []
        self._fails_at = fails_at

    @property
    def ending(self) -> object:
        """How the call ended: outcome, code and details."""
        return self.told[-1][1] if self.told and self.told[-1][0] == "end" else None

    def _tell(self, what: str, said: object) -> None:
        if what == self._fails_at:
            raise ZeroDivisionError
        self.told.append((what, said))

    def request(self, at: float, message: GrpcMessage) -> None:
        self._tell("request", message)

    def response_head(self, headers: Headers) -> None:
        self._tell("head", headers)

    def response(self, at: float, message: GrpcMessage) -> None:
        self._tell("response", message)

    def end(self, at: float, outcome: Outcome, code: str, details: str) -> None:
        self._tell("end", (outcome, code, details))


class Calls:
    """A tap that watches inferences."""

    def __init__(self, fails_at: str = "") -> None:
        self.made: list[Call] = []
        self._fails_at = fails_at

    def http(self, at: float, head: object) -> HttpObserver | None:
        return None

    def grpc(self, at: float, method: str, metadata: Headers) -> Call | None:
        if self._fails_at == "begin":
            raise ZeroDivisionError
        if method != METHOD:
            return None
        self.made.append(Call(self._fails_at))
        return self.made[-1]


class Connection:
    """Both ends of a connection with a watch between them."""

    def __init__(self, fails_at: str = "", *, strip: bool = False) -> None:
        self.clock, self.counters, self.tap = SetClock(), Counters(), Calls(fails_at)
        self.watch = GrpcWatch(self.tap, self.clock, self.counters, Keeping(1 << 20, Budget(1 << 30)), strip=strip)
        self.client, self.upstream = Encoding(), Encoding()

    def begin(self, stream: int = 1, *headers: tuple[str, str], method: str = METHOD) -> bytes:
        """Return how a client begins a call."""
        pseudo = [(":method", "POST"), (":path", method), ("te", "trailers")]
        return frame(HEADERS, END_HEADERS, stream, self.client.block([*pseudo, *headers]))

    def answer(self, stream: int, headers: Headers, *, ends: bool = False) -> bytes:
        """Return a block of headers of a response."""
        flags = END_HEADERS | (END_STREAM if ends else 0)
        return frame(HEADERS, flags, stream, self.upstream.block(list(headers)))

    def ask(self, data: bytes) -> bytes:
        return b"".join(self.watch.request(data))

    def say(self, data: bytes) -> bytes:
        return b"".join(self.watch.response(data))

    def asked(self, *headers: tuple[str, str]) -> Call:
        """Begin a call with one message and return what was told about it."""
        self.ask(PREFACE + frame(SETTINGS, 0, 0) + self.begin(1, *headers) + frame(DATA, END_STREAM, 1, HELLO))
        self.say(SERVED)
        return self.tap.made[0]
