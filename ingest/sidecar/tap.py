"""What the byte path tells whoever watches it. It knows nothing else about events.

Calls come from the event loop in the order in which things happen, and are expected to be quick: an observer keeps
what it is given and works on it elsewhere. `at` is `Clock.elapsed()`. An observer that raises is ended as `unreadable`,
dropped and counted; the bytes pass all the same.
"""

from __future__ import annotations

from typing import Literal, Protocol

from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.http_head import Head

Outcome = Literal["complete", "client_gone", "upstream_gone", "unreadable", "unprocessed"]
"""How an exchange ended: answered in full, left by one side before that, no longer HTTP that can be followed, or never
begun, as upstream said."""


class HttpObserver(Protocol):
    """Watches one HTTP request and its response."""

    added_headers: bytes
    """Header lines, each with its CRLF, that the response to the client gets in addition."""

    def request_part(self, data: memoryview) -> None:
        """See part of the request's body, as it was sent but without chunk framing."""
        ...

    def response_head(self, status: int, head: Head) -> None:
        """See the head of the final response."""
        ...

    def response_part(self, at: float, data: memoryview) -> None:
        """See part of the response's body."""
        ...

    def end(self, at: float, outcome: Outcome) -> None:
        """See how it ended; the last call."""
        ...


class GrpcObserver(Protocol):
    """Watches one gRPC call; messages are serialised protobuf, as they were sent."""

    added_metadata: Headers
    """Headers that the client gets in addition."""

    def request(self, at: float, message: GrpcMessage) -> None:
        """See a message from the client."""
        ...

    def response_head(self, headers: Headers) -> None:
        """See the first headers of the response."""
        ...

    def response(self, at: float, message: GrpcMessage) -> None:
        """See a message from upstream."""
        ...

    def end(self, at: float, outcome: Outcome, code: str, details: str) -> None:
        """See the call's status, such as `OK`; the last call."""
        ...


class Tap(Protocol):
    """Decides which traffic is watched."""

    def http(self, at: float, head: Head) -> HttpObserver | None:
        """Return who watches a request that began at `at`, None for nobody."""
        ...

    def grpc(self, at: float, method: str, metadata: Headers) -> GrpcObserver | None:
        """Return who watches a call of `method`, such as `/inference.GRPCInferenceService/ModelInfer`."""
        ...
