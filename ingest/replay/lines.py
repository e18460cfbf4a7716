"""Lines of a file or of standard input, packed with gzip or not, in memory that does not grow with the file."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.replay.errors import UnreadableFileError

STANDARD_INPUT: Final = "-"
LONGEST_LINE: Final = 16 << 20
"""Bytes. Of a longer line one byte more than this is kept, so that whoever reads it can tell."""

_GZIP: Final = b"\x1f\x8b"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end, counted from 1; `place` is how many bytes of the file were read with it."""

    number: int
    data: bytes
    place: int


def file_size(path: str) -> int | None:
    """Return the size in bytes of a regular file, None of anything else.

    Raises:
        UnreadableFileError: there is no such file.
    """
    if path == STANDARD_INPUT:
        return None
    try:
        found = Path(path).stat()
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or str(error)) from error
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_lines(path: str) -> Iterator[Line]:
    """Yield the lines of a file, or of standard input where `path` is `-`. The file is closed with the iterator.

    Raises:
        UnreadableFileError: it cannot be opened, read or unpacked.
    """
    name = "standard input" if path == STANDARD_INPUT else path
    try:
        with _opened(path) as raw:
            packed = raw.peek(2)[:2] == _GZIP
            yield from _split(gzip.GzipFile(fileobj=raw) if packed else raw, raw, packed)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError(name, getattr(error, "strerror", None) or str(error)) from error


def _opened(path: str) -> io.BufferedReader:
    # A descriptor of our own: a thread may wait for input in it while the program ends, and the interpreter would then
    # stop at closing `sys.stdin`.
    return open(os.dup(0) if path == STANDARD_INPUT else path, "rb")  # noqa: PTH123 - a descriptor has no path


def _split(file: io.BufferedReader | gzip.GzipFile, raw: io.BufferedReader, packed: bool) -> Iterator[Line]:
    number = place = 0
    while data := file.readline(LONGEST_LINE + 1):
        number += 1
        place += len(data)
        rest = data
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
            place += len(rest)
        if number == 1:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        yield Line(number, data.rstrip(b"\r\n"), raw.tell() if packed and raw.seekable() else place)
