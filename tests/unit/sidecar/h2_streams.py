"""Connections of HTTP/2 for tests: sequences of frames, cut anywhere, and header blocks as others encode them."""

from __future__ import annotations

import itertools

from hpack import Decoder, Encoder
from hpack.struct import NeverIndexedHeaderTuple
from hypothesis import strategies as st

from ingest.sidecar.h2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITY,
    frame,
)
from ingest.sidecar.h2_headers import Headers

PRIORITY_FRAME = 0x2
WINDOW_UPDATE = 0x8
UNKNOWN = 0xF7
STREAMS = st.integers(1, 5)
PAYLOADS = st.binary(max_size=40)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return `data` in pieces; places beyond its end count from its beginning again."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def data_frames(draw: st.DrawFn) -> tuple[bytes, tuple[int, bytes, bool]]:
    """Yield DATA, also padded and empty, and what it says."""
    stream, content, ends = draw(STREAMS), draw(PAYLOADS), draw(st.booleans())
    flags = END_STREAM if ends else 0
    padding = draw(st.none() | st.integers(0, 255))
    if padding is None:
        return frame(DATA, flags, stream, content), (stream, content, ends)
    padded = bytes((padding,)) + content + bytes(padding)
    return frame(DATA, flags | PADDED, stream, padded), (stream, content, ends)


@st.composite
def block_frames(draw: st.DrawFn, encoded: bytes | None = None) -> tuple[bytes, tuple[int, bytes, bool]]:
    """Yield a header block, also padded, with priority, and in pieces, some of them empty, and what it says."""
    stream, ends = draw(STREAMS), draw(st.booleans())
    encoded = draw(PAYLOADS) if encoded is None else encoded
    first, *others = cut(encoded, draw(st.lists(st.integers(0, 60), max_size=3)))
    flags = END_STREAM if ends else 0
    if draw(st.booleans()):
        flags, first = flags | PRIORITY, b"\x80\x00\x00\x00\x10" + first
    if draw(st.booleans()):
        padding = draw(st.integers(0, 20))
        flags, first = flags | PADDED, bytes((padding,)) + first + bytes(padding)
    frames = [frame(HEADERS, flags | (0 if others else END_HEADERS), stream, first)]
    for place, fragment in enumerate(others, 1):
        frames.append(frame(CONTINUATION, END_HEADERS if place == len(others) else 0, stream, fragment))
    return b"".join(frames), (stream, encoded, ends)


OTHER_FRAMES = st.builds(
    frame, st.sampled_from([PRIORITY_FRAME, WINDOW_UPDATE, UNKNOWN]), st.sampled_from([0, 1, 4]), STREAMS, PAYLOADS
)


def client_connection(*frames: bytes) -> bytes:
    """Return what a client sends."""
    return PREFACE + b"".join(frames)


NAMES = st.sampled_from(["x-a", "x-b", "grpc-status", "content-type", "x-inferwatch-team", "x-inferwatch-user"])
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=12)
HEADER_LISTS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


class Encoding:
    """A sender's encoder: one dynamic table for all its blocks."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    def resize(self, size: int) -> None:
        """Use a table of another size from the next block on, which says so."""
        self._encoder.header_table_size = size

    def block(self, headers: list[tuple[str, str]], *, huffman: bool = True) -> bytes:
        """Return a block that refers to those before it."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return self._encoder.encode(raw, huffman=huffman)

    def secret_block(self, name: str, value: str) -> bytes:
        """Return a block of one header that nobody may put into a table."""
        return self._encoder.encode([NeverIndexedHeaderTuple(name.encode(), value.encode())])


class Receiving:
    """The receiver's decoder, as strict as another implementation's."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    def allow(self, size: int) -> None:
        """Insist on a table of at most this size; the next block must take note of it."""
        self._decoder.max_allowed_table_size = size

    def read(self, block: bytes) -> Headers:
        """Return the headers of a block."""
        found = self._decoder.decode(block, raw=True)
        return tuple((bytes(item[0]).decode("latin-1"), bytes(item[1]).decode("latin-1")) for item in found)


def split_frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Return kind, flags, stream and payload of each frame in what consists of whole frames only."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        stream = int.from_bytes(data[at + 5 : at + 9], "big")
        found.append((data[at + 3], data[at + 4], stream, data[at + 9 : at + 9 + length]))
        at += 9 + length
    assert at == len(data)
    return found


def blocks_in(data: bytes) -> list[tuple[int, bytes]]:
    """Return stream and encoded block of each sequence of HEADERS and CONTINUATION without padding or priority."""
    blocks: list[tuple[int, bytes]] = []
    for kind, flags, stream, payload in split_frames(data):
        if kind == HEADERS:
            assert not flags & (PADDED | PRIORITY)
            blocks.append((stream, payload))
        elif kind == CONTINUATION:
            blocks[-1] = (stream, blocks[-1][1] + payload)
    return blocks
