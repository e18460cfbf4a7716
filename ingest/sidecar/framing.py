"""Where HTTP/1.1 messages begin and end in a stream of bytes (RFC 9112), without changing or keeping any of it.

Pure: no I/O. Bytes that cannot be understood end in `Opaque`, never in an exception: whoever forwards them goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from ingest.sidecar.http_head import Body, BodyRule, Head, parse_head

MAX_HEAD_BYTES: Final = 256 << 10
_MAX_LINE_BYTES: Final = 16 << 10
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
"""Ends a head; lines may end without CR (section 2.2), as Triton takes them."""
_BLANK_LINE_BYTES: Final = 3


@dataclass(frozen=True, slots=True)
class StartLine:
    """A request line or status line is complete; it ends before offset `end` of the bytes just fed."""

    end: int
    text: bytes


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
        self._held = bytearray()
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
        if not self._held and data[at] in b"\r\n":
            at = len(data) - len(data[at:].lstrip(b"\r\n"))
        before = len(self._held)
        held: bytes | bytearray = data
        if before or at:
            self._held += data[at:]
            held = self._held
        if not self._started and (newline := held.find(b"\n")) >= 0:
            self._started = True
            items.append(StartLine(at + newline + 1 - before, bytes(held[:newline].rstrip(b"\r"))))
        end = _BLANK_LINE.search(held, max(0, before + 1 - _BLANK_LINE_BYTES))
        if end is None:
            self._held = bytearray(held) if held is data else self._held
            if len(held) > MAX_HEAD_BYTES:
                self._give_up(items, "a head without an end")
            return len(data)
        self._held, self._started = bytearray(), False
        after = at + end.end() - before
        head = parse_head(bytes(held[: end.start()]), after)
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
        line = bytes(self._held) + data[at : newline if newline >= 0 else len(data)]
        if len(line) > _MAX_LINE_BYTES:
            self._give_up(items, "a chunk header or trailer without an end")
            return len(data)
        if newline < 0:
            self._held = bytearray(line)
            return len(data)
        self._held = bytearray()
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
        self._held = bytearray()
        items.append(Opaque(reason))
