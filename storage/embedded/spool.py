"""Where request bodies wait until they are complete: in memory as long as there is room, then in a file."""

from __future__ import annotations

import errno
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from storage.embedded.errors import SpaceMissing

_READ_BYTES = 1024 * 1024


class Room:
    """Bytes of memory that all bodies share; what one gives back, another may take.

    Parameters
    ----------
    folder
        Where bodies go that find no room.
    most
        Bytes that all bodies together may keep in memory.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self._free = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take `size` bytes where there are as many."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
            return True

    def give_back(self, size: int) -> None:
        """Return what `take` gave."""
        with self._lock:
            self._free += size


class Spool:
    """One body: pieces in memory, followed by a file where there was no more room.

    The file has no name, so nothing is left behind however the process ends. Pieces are kept as they came, and given
    out as they are kept: between socket and engine nothing is copied.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._pieces: list[bytes] = []
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self.size = 0

    def add_to_memory(self, piece: bytes) -> bool:
        """Keep one more piece where there is room for it; never waits for a disk."""
        if self._file is not None or not self._room.take(len(piece)):
            return False
        self.size += len(piece)
        self._in_memory += len(piece)
        if piece:
            self._pieces.append(piece)
        return True

    def add(self, piece: bytes) -> None:
        """Keep one more piece, in the file where need be.

        Raises
        ------
        SpaceMissing
            The disk is full.
        """
        if self.add_to_memory(piece):
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._room.folder, buffering=0)  # noqa: SIM115 - see close()
            _write_all(self._file, piece)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise SpaceMissing(self._room.folder) from error
            raise
        self.size += len(piece)

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all where there are fewer."""
        found = bytearray()
        for piece in self.pieces(0):
            found += piece[: size - len(found)]
            if len(found) >= size:
                break
        return bytes(found)

    def pieces(self, start: int) -> Iterator[bytes]:
        """Everything from byte `start` on."""
        at = 0
        for piece in self._pieces:
            if at + len(piece) > start:
                yield piece[max(0, start - at) :]
            at += len(piece)
        if self._file is not None:
            self._file.seek(max(0, start - at))
            while piece := self._file.read(_READ_BYTES):
                yield piece

    def close(self) -> None:
        """Give memory and disk space back."""
        self._pieces.clear()
        self._room.give_back(self._in_memory)
        self._in_memory = 0
        if self._file is not None:
            self._file.close()


def _write_all(file: IO[bytes], piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]
