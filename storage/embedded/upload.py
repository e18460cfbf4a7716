"""Receive a whole request body before the engine sees any of it.

An upload that stops half-way therefore inserts nothing, and a slow client holds neither a thread nor a place among
the running queries.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from storage.embedded.compression import Decompressor
from storage.embedded.errors import UploadFailed

# Hopping to a thread costs more than decompressing less than this.
_INLINE_BYTES = 64 * 1024
_GATHER_BYTES = 1024 * 1024


class Upload:
    """A received, decompressed body: in memory up to a limit, in an unnamed file beyond it.

    Parameters
    ----------
    folder
        Where that file lies. It has no name, so nothing is left behind however the process ends.
    memory_bytes, max_bytes
        Kept in memory up to the first; refused with status 413 beyond the second.
    """

    def __init__(self, folder: Path, memory_bytes: int, max_bytes: int) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(memory_bytes, dir=str(folder))  # noqa: SIM115 - see close()
        self._max_bytes = max_bytes
        self.size = 0

    async def receive(self, chunks: AsyncIterator[bytes], decompressor: Decompressor) -> None:
        """Take in all of `chunks`.

        Raises
        ------
        UploadFailed
            Damaged, cut short, or larger than allowed.
        """
        waiting: list[bytes] = []
        size = 0
        async for chunk in chunks:
            waiting.append(chunk)
            size += len(chunk)
            if size >= _GATHER_BYTES:
                await asyncio.to_thread(self._write, b"".join(waiting), decompressor)
                waiting, size = [], 0
        if size > _INLINE_BYTES:
            await asyncio.to_thread(self._write, b"".join(waiting), decompressor)
        elif size:
            self._write(b"".join(waiting), decompressor)
        decompressor.finish()

    def _write(self, data: bytes, decompressor: Decompressor) -> None:
        plain = decompressor.feed(data)
        self.size += len(plain)
        if self.size > self._max_bytes:
            raise UploadFailed(
                f"The body is larger than {self._max_bytes} bytes after decompression; send it in parts", status=413
            )
        self._file.write(plain)

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Give memory and disk space back."""
        self._file.close()
