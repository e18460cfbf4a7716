"""The head of an HTTP/1.1 message, and how long the body is that it announces (RFC 9112). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_LENGTH: Final = re.compile("[0-9]{1,18}")


class Body(Enum):
    """How a message's body ends where no length says it."""

    CHUNKED = auto()
    UNTIL_CLOSED = auto()
    NOT_HTTP = auto()


BodyRule = int | Body
"""How long the body of a message is: its bytes, or how its end is told."""


@dataclass(frozen=True, slots=True)
class Head:
    """A message's start line in its three parts, and its headers with names in lower case.

    It ends, with its blank line, before offset `end` of the bytes just fed.
    """

    start: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...]
    end: int = 0

    def get(self, name: str) -> str | None:
        """Return a header's last value; `name` in lower case."""
        found = None
        for key, value in self.headers:
            if key == name:
                found = value
        return found


def parse_head(raw: bytes, end: int = 0) -> Head | None:
    """Return a head without its last line's end taken apart, None where it is not one of HTTP/1."""
    # What is left of lines' ends goes with the white space around values.
    first, *lines = raw.decode("latin-1").split("\n")
    start = first.rstrip("\r").split(" ", 2)
    if len(start) < 2 or not (start[0].startswith("HTTP/1.") or start[-1].startswith("HTTP/1.")):
        return None
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and headers:
            # A line goes on with the one before it (RFC 9112, section 5.2).
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}".strip())
            continue
        name, colon, value = line.partition(":")
        if not colon:
            return None
        headers.append((name.lower(), value.strip(" \t\r")))
    return Head((start[0], start[1], start[2] if len(start) > 2 else ""), tuple(headers), end)


def request_body(head: Head) -> BodyRule:
    """Return how long a request's body is (RFC 9112, section 6.3)."""
    if head.start[0] == "CONNECT":
        return Body.NOT_HTTP
    return _declared(head, 0)


def response_body(head: Head, method: str) -> BodyRule:
    """Return how long the body of a response to `method` is (RFC 9112, section 6.3)."""
    status = head.start[1]
    if status == "101":
        return Body.NOT_HTTP
    if method == "HEAD" or status.startswith("1") or status in ("204", "304"):
        return 0
    return _declared(head, Body.UNTIL_CLOSED)


def _declared(head: Head, otherwise: BodyRule) -> BodyRule:
    coding = head.get("transfer-encoding")
    if coding is not None:
        return Body.CHUNKED if coding.lower().endswith("chunked") else Body.NOT_HTTP
    lengths = {value for name, value in head.headers if name == "content-length"}
    if not lengths:
        return otherwise
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        return Body.NOT_HTTP
    return int(length)
