"""Where HTTP/1.1 messages begin and end in a stream of bytes (RFC 9112), without changing or keeping any of it.

Pure: no I/O. Bytes that cannot be understood end in `Opaque`, never in an exception: whoever forwards them goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_HEAD_BYTES: Final = 256 << 10
_MAX_LINE_BYTES: Final = 16 << 10
_LENGTH: Final = re.compile("[0-9]{1,18}")


class Body(Enum):
    """How a message's body ends where no length says it."""

    CHUNKED = auto()
    UNTIL_CLOSED = auto()
    NOT_HTTP = auto()


BodyRule = int | Body
"""How long the body of a message is: its bytes, or how its end is told."""


@dataclass(frozen=True, slots=True)
class StartLine:
    """A request line or status line is complete; it ends before offset `end` of the bytes just fed."""

    end: int
    text: bytes


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


@dataclass(frozen=True, slots=True)
class BodyPart:
    """Content without chunk framing, from offset `start` to `end` of the bytes just fed."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class End:
    """A message is complete, before offset `end` of the bytes just fed."""

    end: int = 0


@dataclass(frozen=True, slots=True)
class Opaque:
    """From here on the bytes are not HTTP messages that can be told apart."""

    reason: str


Item = StartLine | Head | BodyPart | End | Opaque


class _State(Enum):
    HEAD = auto()
    LENGTH = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    UNTIL_CLOSED = auto()
    OPAQUE = auto()


class Framer:
    """Finds the messages in one direction of a connection.

    `rule` is asked once a head is complete. Offsets in the items refer to the bytes of the same call of `feed`.
    """

    def __init__(self, rule: Callable[[Head], BodyRule]) -> None:
        self._rule = rule
        self._state = _State.HEAD
        self._held = b""
        self._started = False
        self._left = 0

    @property
    def between_messages(self) -> bool:
        """Whether no message is under way."""
        return self._state is _State.HEAD and not self._held

    @property
    def ends_with_connection(self) -> bool:
        """Whether the message under way is complete only when the connection closes."""
        return self._state is _State.UNTIL_CLOSED

    def feed(self, data: bytes) -> list[Item]:
        """Return what these bytes complete, in order."""
        items: list[Item] = []
        at = 0
        while at < len(data) and self._state is not _State.OPAQUE:
            match self._state:
                case _State.HEAD:
                    at = self._head(data, at, items)
                case _State.LENGTH | _State.CHUNK:
                    at = self._content(data, at, items)
                case _State.UNTIL_CLOSED:
                    items.append(BodyPart(at, len(data)))
                    at = len(data)
                case _:
                    at = self._line(data, at, items)
        return items

    def close(self) -> list[Item]:
        """Return `End` where the closing of the connection completes the message."""
        if self._state is not _State.UNTIL_CLOSED:
            return []
        self._state = _State.HEAD
        return [End()]

    def _head(self, data: bytes, at: int, items: list[Item]) -> int:
        if not self._held:
            while at < len(data) and data[at] in b"\r\n":
                at += 1
        before = len(self._held)
        held = self._held + data[at:] if before or at else data
        if not self._started and (newline := held.find(b"\n")) >= 0:
            self._started = True
            items.append(StartLine(at + newline + 1 - before, held[:newline].rstrip(b"\r")))
        end = held.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            self._held = held
            if len(held) > MAX_HEAD_BYTES:
                self._give_up(items, "a head without an end")
            return len(data)
        self._held, self._started = b"", False
        after = at + end + 4 - before
        head = parse_head(held[:end], after)
        if head is None:
            self._give_up(items, "a head that is not HTTP/1")
        else:
            items.append(head)
            self._begin_body(self._rule(head), items, after)
        return after

    def _begin_body(self, rule: BodyRule, items: list[Item], at: int) -> None:
        if rule is Body.NOT_HTTP:
            self._give_up(items, "the connection changed its protocol or its message has no clear length")
        elif rule is Body.CHUNKED:
            self._state = _State.CHUNK_SIZE
        elif rule is Body.UNTIL_CLOSED:
            self._state = _State.UNTIL_CLOSED
        elif isinstance(rule, int) and rule > 0:
            self._state, self._left = _State.LENGTH, rule
        else:
            self._state = _State.HEAD
            items.append(End(at))

    def _content(self, data: bytes, at: int, items: list[Item]) -> int:
        end = min(len(data), at + self._left)
        items.append(BodyPart(at, end))
        self._left -= end - at
        if self._left == 0:
            if self._state is _State.CHUNK:
                self._state = _State.CHUNK_END
            else:
                self._state = _State.HEAD
                items.append(End(end))
        return end

    def _line(self, data: bytes, at: int, items: list[Item]) -> int:
        newline = data.find(b"\n", at)
        line = self._held + data[at : newline if newline >= 0 else len(data)]
        if len(line) > _MAX_LINE_BYTES:
            self._give_up(items, "a chunk header or trailer without an end")
            return len(data)
        if newline < 0:
            self._held = line
            return len(data)
        self._held = b""
        self._end_line(line.rstrip(b"\r"), items, newline + 1)
        return newline + 1

    def _end_line(self, line: bytes, items: list[Item], at: int) -> None:
        if self._state is _State.CHUNK_END:
            if line:
                self._give_up(items, "a chunk longer than its size")
            else:
                self._state = _State.CHUNK_SIZE
        elif self._state is _State.TRAILER:
            if not line:
                self._state = _State.HEAD
                items.append(End(at))
        else:
            try:
                self._left = int(line.split(b";")[0], 16)
            except ValueError:
                self._left = -1
            if self._left < 0:
                self._give_up(items, "a chunk without a size")
            else:
                self._state = _State.CHUNK if self._left else _State.TRAILER

    def _give_up(self, items: list[Item], reason: str) -> None:
        self._state = _State.OPAQUE
        self._held = b""
        items.append(Opaque(reason))


def parse_head(raw: bytes, end: int = 0) -> Head | None:
    """Return a head without its final blank line taken apart, None where it is not one of HTTP/1."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    start = first.split(" ", 2)
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
        headers.append((name.lower(), value.strip(" \t")))
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
