"""Content codings of request and response bodies, as clickhouse-connect sends and asks for them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]  # publishes no type information
import lz4.frame  # type: ignore[import-untyped]  # publishes no type information
from backports import zstd

from storage.embedded.errors import UploadFailed

_GZIP_WINDOW = 31
# A few bytes can stand for gigabytes: plain bytes come in pieces of at most this, so that a limit can stop them.
_PIECE_BYTES = 4 * 1024 * 1024


class Decompressor(Protocol):
    """Turns a compressed stream into plain bytes, piece by piece."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Plain bytes of `data` in pieces of bounded size; raises `UploadFailed` where it is damaged."""

    def finish(self) -> None:
        """Raise `UploadFailed` where the stream is cut short."""


class Compressor(Protocol):
    """Turns plain bytes into a compressed stream, piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Compressed bytes so far."""

    def finish(self) -> bytes:
        """The rest of the stream."""


class _Frame(Protocol):
    """One compressed frame, as the standard library's bz2 and lzma read theirs."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` plain bytes; where more are left, `needs_input` is false."""


class _ZlibFrame:
    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)
        self._filled = False

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        # Output may be left inside zlib although it has taken in everything.
        return not (self._stream.unconsumed_tail or self._filled)

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        plain = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self._filled = len(plain) >= max_length
        return plain


class _Frames:
    """Decompresses streams that follow one another: clients compress each block as a frame of its own."""

    def __init__(self, coding: str, make: Callable[[], Any]) -> None:
        self._coding = coding
        self._make = make
        self._frame: _Frame | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or self._frame is not None:
            frame = self._frame = self._frame or self._make()
            try:
                plain = frame.decompress(data, _PIECE_BYTES)
            except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
                raise UploadFailed(f"The body is not valid {self._coding}: {error}") from error
            if plain:
                yield plain
            data = b""
            if frame.eof:
                data = frame.unused_data
                self._frame = None
            elif frame.needs_input:
                return

    def finish(self) -> None:
        if self._frame is not None:
            raise UploadFailed(f"The {self._coding} body is cut short")


class _Brotli:
    """Brotli has no frames: anything after the end of the stream is an error, and the library says so."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._started = True
        while True:
            try:
                plain = self._stream.process(data, output_buffer_limit=_PIECE_BYTES)
            except brotli.error as error:
                raise UploadFailed(f"The body is not one valid brotli stream: {error}") from error
            if plain:
                yield plain
            if self._stream.can_accept_more_data():
                return
            data = b""

    def finish(self) -> None:
        if self._started and not self._stream.is_finished():
            raise UploadFailed("The br body is cut short")


class _Zlib:
    def __init__(self, window: int) -> None:
        self._stream = zlib.compressobj(level=1, wbits=window)

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdCompressor(level=1)

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Lz4:
    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor()
        self._head = self._stream.begin()

    def feed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._stream.compress(data))

    def finish(self) -> bytes:
        return bytes(self._head + self._stream.flush())


def decompressor(coding: str | None) -> Decompressor | None:
    """For a Content-Encoding; None where there is none, or `identity`.

    Raises
    ------
    UploadFailed
        With status 415 for a coding this server does not know.
    """
    match (coding or "identity").strip().lower():
        case "identity":
            return None
        case "lz4":
            return _Frames("lz4", lz4.frame.LZ4FrameDecompressor)
        case "zstd":
            return _Frames("zstd", zstd.ZstdDecompressor)
        case "gzip":
            return _Frames("gzip", lambda: _ZlibFrame(_GZIP_WINDOW))
        case "deflate":
            return _Frames("deflate", lambda: _ZlibFrame(zlib.MAX_WBITS))
        case "br":
            return _Brotli()
        case other:
            raise UploadFailed(f"Unknown Content-Encoding {other!r}; known: lz4, zstd, gzip, deflate, br", status=415)


def compressor(accepted: str) -> tuple[str, Compressor] | None:
    """The coding to answer with and its compressor, by an Accept-Encoding header; None for plain bytes."""
    codings = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    if "lz4" in codings:
        return "lz4", _Lz4()
    if "zstd" in codings:
        return "zstd", _Zstd()
    if "gzip" in codings:
        return "gzip", _Zlib(_GZIP_WINDOW)
    if "deflate" in codings:
        return "deflate", _Zlib(zlib.MAX_WBITS)
    return None
