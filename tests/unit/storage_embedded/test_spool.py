from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from storage.embedded.compression import decompressor
from storage.embedded.errors import SpaceMissing, UploadFailed
from storage.embedded.spool import Room, Spool
from storage.embedded.upload import receive

MIB = 1024 * 1024


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(
    pieces=st.lists(st.binary(max_size=20)),
    room=st.integers(0, 60),
    start=st.integers(0, 100),
    head=st.integers(0, 100),
)
def test_a_body_comes_back_whole_wherever_it_is_kept(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], room: int, start: int, head: int
) -> None:
    spool = Spool(Room(tmp_path_factory.getbasetemp(), room))
    for piece in pieces:
        spool.add(piece)
    whole = b"".join(pieces)
    assert spool.size == len(whole)
    assert b"".join(spool.pieces(start)) == whole[start:]
    assert spool.head(head) == whole[:head]
    assert b"".join(spool.pieces(0)) == whole
    spool.close()


def test_memory_is_shared_and_given_back(tmp_path: Path) -> None:
    room = Room(tmp_path, 10)
    first, second = Spool(room), Spool(room)
    assert first.add_to_memory(b"12345678")
    assert not second.add_to_memory(b"123")
    second.add(b"123")
    assert second.size == 3
    first.close()
    first.close()
    second.close()
    third = Spool(room)
    assert third.add_to_memory(b"1234567890")
    assert not third.add_to_memory(b"1")
    third.close()


def test_pieces_in_memory_are_not_copied(tmp_path: Path) -> None:
    spool = Spool(Room(tmp_path, 100))
    piece = bytes(50)
    spool.add(piece)
    assert next(spool.pieces(0)) is piece
    spool.close()


def test_what_follows_a_piece_in_the_file_goes_there_too(tmp_path: Path) -> None:
    spool = Spool(Room(tmp_path, 4))
    for piece in (b"abc", b"defgh", b"i"):
        spool.add(piece)
    assert b"".join(spool.pieces(0)) == b"abcdefghi"
    spool.close()


def test_the_file_has_no_name(tmp_path: Path) -> None:
    spool = Spool(Room(tmp_path, 0))
    spool.add(b"x")
    assert list(tmp_path.iterdir()) == []
    spool.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error_with_its_code(tmp_path: Path) -> None:
    spool = Spool(Room(tmp_path, 0))
    spool.add(b"x")
    full = os.open("/dev/full", os.O_RDWR)
    file = spool._file
    assert file is not None
    os.dup2(full, file.fileno())
    os.close(full)
    with pytest.raises(SpaceMissing) as caught:
        spool.add(b"y")
    assert (caught.value.code, caught.value.folder) == (243, tmp_path)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == errno.ENOSPC
    spool.close()


@pytest.mark.parametrize("room", [0, 3 * MIB])
@pytest.mark.parametrize("coding", [None, "zstd"])
async def test_chunks_of_any_size_are_received_in_their_order(tmp_path: Path, coding: str | None, room: int) -> None:
    parts = [bytes([number]) * size for number, size in enumerate((1, 70_000, 5, 300_000, 2 * MIB, 3, 1))]
    spool = Spool(Room(tmp_path, room))
    sent = parts if coding is None else [zstd.compress(part) for part in parts]
    await receive(chunks(*sent), decompressor(coding), spool, 10 * MIB)
    assert b"".join(spool.pieces(0)) == b"".join(parts)
    spool.close()


@pytest.mark.parametrize("coding", [None, "zstd"])
async def test_more_than_allowed_is_refused_before_it_is_kept(tmp_path: Path, coding: str | None) -> None:
    body = bytes(20 * MIB)
    spool = Spool(Room(tmp_path, 100 * MIB))
    sent = [body[at : at + MIB] for at in range(0, len(body), MIB)] if coding is None else [zstd.compress(body)]
    with pytest.raises(UploadFailed, match="larger than 9437184 bytes") as caught:
        await receive(chunks(*sent), decompressor(coding), spool, 9 * MIB)
    assert caught.value.status == 413
    assert spool.size <= 9 * MIB
    spool.close()
