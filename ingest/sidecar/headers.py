"""Which headers of requests and responses an event is made of; no others are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EVENT_HEADERS: Final = {
    "team": "x-inferwatch-team",
    "user": "x-inferwatch-user",
    "conversation_id": "x-inferwatch-conversation",
    "prompt_name": "x-inferwatch-prompt-name",
    "prompt_version": "x-inferwatch-prompt-version",
    "environment": "x-inferwatch-environment",
    "service": "x-inferwatch-service",
}
"""Fields of an event and the headers that say them."""
TRACE: Final = "traceparent"
HTTP_CODING: Final = "content-encoding"
HTTP_TYPE: Final = "content-type"
JSON_LENGTH: Final = "inference-header-content-length"
"""How many bytes of a body are JSON, where tensors follow it as bytes."""
GRPC_CODING: Final = "grpc-encoding"
"""How those messages of its direction are compressed that are marked as compressed."""

_KEPT: Final = frozenset((*EVENT_HEADERS.values(), TRACE, HTTP_CODING, HTTP_TYPE, JSON_LENGTH, GRPC_CODING))
_MOST_CHARACTERS: Final = 1_024


def kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers that are read later, the last of each name, none longer than 1,024 bytes."""
    return {name: value[:_MOST_CHARACTERS] for name, value in headers if name in _KEPT}


def text_of(value: str) -> str:
    """Return a value as its sender meant it: it was read with each byte as a character, and is UTF-8 if not ASCII."""
    return value if value.isascii() else value.encode("latin-1", "replace").decode("utf-8", "replace")
