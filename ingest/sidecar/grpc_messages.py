"""Tells gRPC's messages apart in the content of a stream ("Length-Prefixed-Message" of gRPC over HTTP/2)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from ingest.errors import ContentError
from ingest.sidecar.budget import MOST_PIECES, PIECE_BYTES, Budget

_PREFIX_BYTES: Final = 5
ALWAYS_KEPT_BYTES: Final = 1 << 10
"""Of a message that is not kept: its id is among them, which tells what it belongs to."""
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class GrpcMessage:
    """A message as it passed: its beginning, its whole size in bytes, and whether it is compressed."""

    data: bytes
    size: int
    compressed: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of it is here."""
        return len(self.data) == self.size


class MessageSplitter:
    """Takes content in pieces of any size; keeps the beginning of a message.

    That is at most `most` bytes, and beyond the first KiB only what `budget` has left.
    """

    __slots__ = ("_budget", "_full", "_kept", "_left", "_most", "_parts", "_prefix", "_size", "_taken")

    def __init__(self, most: int, budget: Budget) -> None:
        self._budget = budget
        self._most = most
        self._prefix = b""
        self._parts: list[bytes] = []
        self._kept = 0
        self._taken = 0
        self._full = False
        self._left = 0
        self._size = 0

    def feed(self, data: memoryview) -> list[GrpcMessage]:
        """Return the messages that these bytes complete."""
        done: list[GrpcMessage] = []
        at = 0
        while at < len(data):
            if len(self._prefix) < _PREFIX_BYTES:
                taken = bytes(data[at : at + _PREFIX_BYTES - len(self._prefix)])
                self._prefix += taken
                at += len(taken)
                if len(self._prefix) < _PREFIX_BYTES:
                    break
                self._left = self._size = int.from_bytes(self._prefix[1:], "big")
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            self._keep(piece)
            if not self._left:
                done.append(self._message())
        return done

    def rest(self) -> GrpcMessage | None:
        """Return the message whose end has not come, as far as it is here; None between messages."""
        return self._message() if len(self._prefix) == _PREFIX_BYTES else None

    def _keep(self, piece: memoryview) -> None:
        room = min(len(piece), self._most - self._kept)
        if room <= 0 or self._full:
            return
        if len(self._parts) < MOST_PIECES and self._budget.take(room + PIECE_BYTES):
            self._taken += room + PIECE_BYTES
            self._parts.append(bytes(piece[:room]))
        else:
            room = max(0, min(room, ALWAYS_KEPT_BYTES - self._kept))
            self._parts = [b"".join([*self._parts, piece[:room]])]
            # What comes after a gap is no beginning, whether there is room for it or not.
            self._full = room < len(piece)
        self._kept += room

    def _message(self) -> GrpcMessage:
        self._budget.give_back(self._taken)
        message = GrpcMessage(b"".join(self._parts), self._size, bool(self._prefix[0]))
        self._prefix, self._parts, self._kept, self._left = b"", [], 0, 0
        self._taken, self._full = 0, False
        return message


def plain(data: bytes, coding: str, most: int) -> bytes:
    """Return at most `most` bytes of a compressed message, cut or not.

    Raises:
        ContentError: it is not in that coding, or the coding is not known here.
    """
    if coding not in ("gzip", "deflate"):
        raise ContentError("grpc-encoding", "not gzip or deflate")
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data, most)
    except zlib.error as error:
        raise ContentError("grpc-encoding", f"not {coding}") from error
