"""Content codings of request and response bodies, as clickhouse-connect sends and asks for them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]  # publishes no type information
import lz4.frame  # type: ignore[import-untyped]  # publishes no type information
from backports import zstd

from storage.embedded.errors import UploadFailed

_GZIP_WINDOW = 31


class Decompressor(Protocol):
    """Turns a compressed stream into plain bytes, piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Plain bytes of `data`; raises `UploadFailed` where it is damaged."""

    def finish(self) -> None:
        """Raise `UploadFailed` where the stream is cut short."""


class Compressor(Protocol):
    """Turns plain bytes into a compressed stream, piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Compressed bytes so far."""

    def finish(self) -> bytes:
        """The rest of the stream."""


class _Frames:
    """Decompresses streams that follow one another: clients compress each block as a frame of its own.

    `make` gives an object with `decompress(data)`, `eof` and `unused_data`.
    """

    def __init__(self, coding: str, make: Callable[[], Any]) -> None:
        self._coding = coding
        self._make = make
        self._frame: Any = None

    def feed(self, data: bytes) -> bytes:
        plain = []
        while data:
            if self._frame is None:
                self._frame = self._make()
            try:
                plain.append(self._frame.decompress(data))
            except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
                raise UploadFailed(f"The body is not valid {self._coding}: {error}") from error
            data = b""
            if self._frame.eof:
                data = self._frame.unused_data
                self._frame = None
        return b"".join(plain)

    def finish(self) -> None:
        if self._frame is not None:
            raise UploadFailed(f"The {self._coding} body is cut short")


class _Brotli:
    """Brotli has no frames: anything after the end of the stream is an error, and the library says so."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._started = False

    def feed(self, data: bytes) -> bytes:
        self._started = True
        try:
            return bytes(self._stream.process(data))
        except brotli.error as error:
            raise UploadFailed(f"The body is not one valid brotli stream: {error}") from error

    def finish(self) -> None:
        if self._started and not self._stream.is_finished():
            raise UploadFailed("The br body is cut short")


class _Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> None:
        return None


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


def decompressor(coding: str | None) -> Decompressor:
    """For a Content-Encoding; none and `identity` pass bytes through.

    Raises
    ------
    UploadFailed
        With status 415 for a coding this server does not know.
    """
    match (coding or "identity").strip().lower():
        case "identity":
            return _Plain()
        case "lz4":
            return _Frames("lz4", lz4.frame.LZ4FrameDecompressor)
        case "zstd":
            return _Frames("zstd", zstd.ZstdDecompressor)
        case "gzip":
            return _Frames("gzip", lambda: zlib.decompressobj(_GZIP_WINDOW))
        case "deflate":
            return _Frames("deflate", zlib.decompressobj)
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
