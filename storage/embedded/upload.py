"""Receive a whole request body before the engine sees any of it.

An upload that stops half-way therefore inserts nothing, and a slow client holds neither a thread nor a place among
the running queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from storage.embedded.compression import Decompressor
from storage.embedded.errors import UploadFailed
from storage.embedded.spool import Spool

# Hopping to a thread costs more than decompressing less than this; and many tiny pieces cost more than one.
_SMALL_BYTES = 64 * 1024
_GATHER_BYTES = 1024 * 1024


async def receive(chunks: AsyncIterator[bytes], decompressor: Decompressor | None, spool: Spool, most: int) -> None:
    """Take in all of `chunks`; without a decompressor as they are.

    Parameters
    ----------
    most
        Bytes that `spool` may hold in the end.

    Raises
    ------
    UploadFailed
        Damaged, cut short, or larger than allowed.
    SpaceMissing
        The disk is full.
    """
    enough = _SMALL_BYTES if decompressor is None else _GATHER_BYTES
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= enough:
            await _keep(waiting, decompressor, spool, most)
            waiting, size = [], 0
    await _keep(waiting, decompressor, spool, most)
    if decompressor is not None:
        decompressor.finish()


async def _keep(waiting: list[bytes], decompressor: Decompressor | None, spool: Spool, most: int) -> None:
    data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
    if decompressor is None:
        _check(spool.size + len(data), most)
        # A disk may let a writer wait, and nobody else must.
        if not spool.add_to_memory(data):
            await asyncio.to_thread(spool.add, data)
    elif len(data) <= _SMALL_BYTES:
        _unpack(data, decompressor, spool, most)
    else:
        await asyncio.to_thread(_unpack, data, decompressor, spool, most)


def _unpack(data: bytes, decompressor: Decompressor, spool: Spool, most: int) -> None:
    for plain in decompressor.feed(data):
        _check(spool.size + len(plain), most)
        spool.add(plain)


def _check(size: int, most: int) -> None:
    if size > most:
        raise UploadFailed(f"The body is larger than {most} bytes after decompression; send it in parts", status=413)
