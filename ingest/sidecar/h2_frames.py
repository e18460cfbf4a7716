"""Tells the frames of one direction of an HTTP/2 connection apart (RFC 9113), and lets them pass.

Pure: no I/O. A header block is held until it is complete, because only then can something be added to it. Frames about
a stream or the connection, and padded ones, are held until they are whole, since what they say is read at once; the
former are a few bytes, and nobody pads in gRPC. Content is never kept: every other byte comes out of the same call of
`feed` that took it in, but for the few that begin a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first."""

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

_HEAD_BYTES: Final = 9
_LARGEST_FRAGMENT: Final = 16_384
"""Every receiver takes frames of this size (section 4.2)."""
_LARGEST_BLOCK: Final = 1 << 20
_LARGEST_WHOLE: Final = 1 << 20
_TAKEN_WHOLE: Final = (HEADERS, CONTINUATION, RST_STREAM, SETTINGS, PING, GOAWAY)


class NotHttp2(Exception):
    """The bytes are not HTTP/2 that can be followed."""


@dataclass(frozen=True, slots=True)
class Block:
    """A complete header block of one stream, in the encoding of HPACK; `priority` is empty or five bytes."""

    stream: int
    ends_stream: bool
    encoded: bytes
    priority: bytes = b""


class Frames(Protocol):
    """Who is told about frames, in order. Times are the caller's business."""

    def headers(self, block: Block) -> bytes | None:
        """See a header block; return frames to pass on instead of it, None to let it pass as it came."""
        ...

    def data(self, stream: int, data: memoryview, ends_stream: bool) -> None:
        """See a piece of content."""
        ...

    def control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """See a whole frame of kind `RST_STREAM`, `SETTINGS`, `PING` or `GOAWAY`."""
        ...


class FrameReader:
    """Follows one direction. `feed` returns what is to be passed on.

    Raises:
        NotHttp2: from `feed`, which also lets pass what its callbacks raise. Then, and whenever nobody follows any
            more, `release` returns what has not been passed on.
    """

    def __init__(self, frames: Frames, preface: bytes = b"") -> None:
        self._frames = frames
        self._preface = preface
        self._held = b""
        self._passed = 0
        self._pieces: list[bytes] = []
        self._left = 0
        self._stream = 0
        self._ends_stream = False
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._block_flags = 0
        self._block_priority = b""
        self._block_raw: list[bytes] = []

    @property
    def between_frames(self) -> bool:
        """Whether a frame may be put in before whatever is passed on next."""
        return not self._left and not self._preface

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in; return, in pieces, what is to be passed on."""
        data = self._held + data if self._held else data
        self._held = data
        self._pass(self._follow(data))
        pieces, self._pieces = self._pieces, []
        self._held, self._passed = data[self._passed :], 0
        return pieces

    def release(self) -> list[bytes]:
        """Return what was held back."""
        pieces = [*self._pieces, *self._block_raw, self._held[self._passed :]]
        self._held, self._passed, self._pieces, self._block_raw = b"", 0, [], []
        return [piece for piece in pieces if piece]

    def _pass(self, end: int) -> None:
        """Pass on what lies before offset `end`."""
        if end > self._passed:
            whole = not self._passed and end == len(self._held)
            self._pieces.append(self._held if whole else self._held[self._passed : end])
            self._passed = end

    def _follow(self, data: bytes) -> int:
        """Look at all frames that are here; return where the first one begins that is not, as far as it is needed."""
        at = self._begin(data) if self._preface else 0
        while at < len(data):
            if self._left:
                at = self._content(data, at)
                continue
            if at + _HEAD_BYTES > len(data):
                break
            length = int.from_bytes(data[at : at + 3], "big")
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFF_FFFF
            self._check_order(kind, stream)
            if kind not in _TAKEN_WHOLE and not flags & PADDED:
                at += _HEAD_BYTES
                self._open(kind, flags, stream, length)
                continue
            if length > _LARGEST_WHOLE:
                raise NotHttp2("a frame that is too large")
            end = at + _HEAD_BYTES + length
            if end > len(data):
                break
            if kind in (HEADERS, CONTINUATION):
                self._pass(at)
                self._passed = end
                self._fragment(kind, flags, stream, data[at:end])
            else:
                self._whole(kind, flags, stream, data[at + _HEAD_BYTES : end])
            at = end
        return at

    def _check_order(self, kind: int, stream: int) -> None:
        """Raise `NotHttp2` where a frame of this kind leaves header blocks that cannot be read."""
        if self._block and (kind != CONTINUATION or stream != self._stream):
            raise NotHttp2("a header block that is interrupted")
        if not self._block and kind == CONTINUATION:
            raise NotHttp2("a header block without its beginning")
        if kind == PUSH_PROMISE:
            raise NotHttp2("a header block of a promise, which nobody asks for over gRPC")

    def _begin(self, data: bytes) -> int:
        """Take the preface in; return where the first frame begins, or the end while the preface is not complete."""
        known = min(len(data), len(self._preface))
        if data[:known] != self._preface[:known]:
            raise NotHttp2("no preface of HTTP/2")
        self._preface = self._preface[known:]
        return known

    def _whole(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            padded = memoryview(payload)[1 : max(1, len(payload) - payload[0])] if payload else memoryview(b"")
            self._frames.data(stream, padded, bool(flags & END_STREAM))
        elif kind in _TAKEN_WHOLE:
            self._frames.control(kind, flags, stream, payload)

    def _open(self, kind: int, flags: int, stream: int, length: int) -> None:
        self._left = length
        self._stream = stream if kind == DATA else 0
        self._ends_stream = kind == DATA and bool(flags & END_STREAM)
        if kind == DATA and not length:
            self._frames.data(stream, memoryview(b""), self._ends_stream)

    def _content(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        if self._stream:
            self._frames.data(self._stream, memoryview(data)[at:end], self._ends_stream and not self._left)
        return end

    def _fragment(self, kind: int, flags: int, stream: int, raw: bytes) -> None:
        """Take a piece of a header block in; pass it on once it is complete."""
        payload = raw[_HEAD_BYTES:]
        self._block_raw.append(raw)
        if kind == HEADERS:
            if flags & PADDED and payload:
                payload = payload[1 : len(payload) - payload[0]]
            priority = payload[:5] if flags & PRIORITY else b""
            payload = payload[len(priority) :]
            self._stream, self._block_flags, self._block_priority = stream, flags, priority
        self._block.append(payload)
        # Frames are counted too: a block may have any number of empty ones.
        self._block_bytes += len(raw)
        if self._block_bytes > _LARGEST_BLOCK:
            raise NotHttp2("a header block that is too large")
        if flags & END_HEADERS:
            encoded, self._block, self._block_bytes = b"".join(self._block), [], 0
            block = Block(stream, bool(self._block_flags & END_STREAM), encoded, self._block_priority)
            replaced = self._frames.headers(block)
            self._pieces += self._block_raw if replaced is None else [replaced]
            self._block_raw = []


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def header_frames(block: Block) -> bytes:
    """Return a header block as one frame, or as several where it is large."""
    payload = block.priority + block.encoded
    fragments = [payload[at : at + _LARGEST_FRAGMENT] for at in range(0, len(payload), _LARGEST_FRAGMENT)] or [b""]
    frames = []
    for place, fragment in enumerate(fragments):
        flags = END_HEADERS if place == len(fragments) - 1 else 0
        if place == 0:
            flags |= (END_STREAM if block.ends_stream else 0) | (PRIORITY if block.priority else 0)
        frames.append(frame(CONTINUATION if place else HEADERS, flags, block.stream, fragment))
    return b"".join(frames)
