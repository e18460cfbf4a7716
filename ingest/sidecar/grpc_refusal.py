"""What a gRPC client is told where upstream cannot be reached: a greeting, and `UNAVAILABLE` with the reason."""

from __future__ import annotations

from urllib.parse import quote

from ingest.sidecar.h2_frames import ACK, GOAWAY, SETTINGS, Block, frame, header_frames
from ingest.sidecar.h2_headers import literals

_UNAVAILABLE = "14"
_NO_ERROR = bytes(4)


def greeting() -> bytes:
    """Return what a server says first, without which clients ask nothing."""
    return frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)


def unavailable(stream: int, reason: str) -> bytes:
    """Return the answer to one call: headers that are trailers too ("Trailers-Only")."""
    headers = (
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", _UNAVAILABLE),
        ("grpc-message", quote(reason, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")),
    )
    return header_frames(Block(stream, True, literals(headers)))


def goaway(last_stream: int) -> bytes:
    """Return what tells a client to begin no further calls on this connection."""
    return frame(GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + _NO_ERROR)
