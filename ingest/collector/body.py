"""The body of an HTTP request: read and decompressed with a bound on each byte that is held."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterable, Mapping
from typing import Final

from ingest.collector.admission import Hold
from ingest.errors import Malformed, TimedOut, TooLarge, WrongMediaType

CODINGS: Final = ("identity", "gzip", "deflate")
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_STEP: Final = 1 << 20
_MOST_MEMBERS: Final = 1_000


async def read_body(
    pieces: AsyncIterable[bytes], headers: Mapping[str, str], hold: Hold, most: int, seconds: float
) -> bytes:
    """Return a body without its content coding. `hold` grows by its bytes; `most` bounds them, decompressed.

    Raises:
        WrongMediaType: its coding is none of `CODINGS`.
        TooLarge: it has too many bytes, sent or decompressed.
        Malformed: it is not in its coding, has too many members, or ends in the middle.
        TimedOut: it did not arrive within `seconds`.
        Unavailable: it does not fit into memory now.
    """
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in CODINGS:
        raise WrongMediaType("Content-Encoding", CODINGS)
    stated = headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated) > most:
        raise TooLarge("the body", most)
    body = _Plain(hold, most) if coding == "identity" else _Compressed(hold, most)
    try:
        async with asyncio.timeout(seconds):
            async for piece in pieces:
                body.add(piece)
    except TimeoutError:
        raise TimedOut(seconds) from None
    return body.whole()


class _Plain:
    """Bytes as they are."""

    def __init__(self, hold: Hold, most: int) -> None:
        self._hold = hold
        self._most = most
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Keep a piece."""
        if self._hold.size + len(piece) > self._most:
            raise TooLarge("the body", self._most)
        self._hold.grow(len(piece))
        self._pieces.append(piece)

    def whole(self) -> bytes:
        """Return everything."""
        return b"".join(self._pieces)


class _Compressed(_Plain):
    """Bytes in gzip's or zlib's format, decompressed a step at a time, so that a bomb is noticed while it is small."""

    def __init__(self, hold: Hold, most: int) -> None:
        super().__init__(hold, most)
        self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._sent = 0
        self._members = 1

    def add(self, piece: bytes) -> None:
        """Keep what a piece decompresses to."""
        # Not all that is sent decompresses to anything, and all of it takes time.
        self._sent += len(piece)
        if self._sent > self._most:
            raise TooLarge("the body", self._most)
        try:
            while True:
                if self._decoder.eof and piece:
                    # Members of gzip may follow each other (RFC 1952, section 2.2).
                    self._members += 1
                    if self._members > _MOST_MEMBERS:
                        raise Malformed(f"the body has more than {_MOST_MEMBERS} members of gzip")
                    self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
                plain = self._decoder.decompress(piece, _STEP)
                if plain:
                    super().add(plain)
                piece = self._decoder.unconsumed_tail or self._decoder.unused_data
                # A full step may have left something inside the decoder although all input is consumed.
                if not piece and len(plain) < _STEP:
                    return
        except zlib.error as error:
            raise Malformed("the body is not in the coding that Content-Encoding names") from error

    def whole(self) -> bytes:
        """Return everything.

        Raises:
            Malformed: it ends in the middle.
        """
        if not self._decoder.eof:
            raise Malformed("the body ends in the middle of its coding")
        return super().whole()
