"""Bodies come through their coding as they were, and what is sent to keep the collector busy is refused."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.collector.admission import InFlight
from ingest.collector.body import read_body
from ingest.errors import Malformed, TooLarge

MOST = 1 << 20
EMPTY_MEMBER = gzip.compress(b"")


def read(pieces: Iterable[bytes], coding: str = "gzip") -> bytes:
    async def sent() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    with InFlight(1 << 30).hold() as hold:
        return asyncio.run(read_body(sent(), {"content-encoding": coding}, hold, MOST, 60.0))


@given(st.lists(st.binary(max_size=2_000), min_size=1, max_size=5), st.integers(1, 500))
def test_members_of_gzip_are_read_one_after_the_other_however_they_are_cut(bodies: list[bytes], size: int) -> None:
    sent = b"".join(map(gzip.compress, bodies))
    assert read(sent[at : at + size] for at in range(0, len(sent), size)) == b"".join(bodies)


def test_what_is_in_no_coding_or_ends_in_the_middle_is_refused() -> None:
    for sent in (b"{}", gzip.compress(b"{}")[:-1], zlib.compress(b"{}") + b"{}"):
        with pytest.raises(Malformed):
            read([sent])


def test_a_bomb_is_refused() -> None:
    with pytest.raises(TooLarge):
        read([gzip.compress(bytes(MOST + 1))])


def test_members_that_hold_nothing_are_refused_too_at_some_point() -> None:
    assert read([EMPTY_MEMBER] * 1_000) == b""
    with pytest.raises(Malformed):
        read([EMPTY_MEMBER] * 1_001)
    with pytest.raises(Malformed):
        read([EMPTY_MEMBER * 1_001])


def test_bytes_that_decompress_to_nothing_count_as_they_are_sent() -> None:
    # A name of a file, in the header of a member, may be as long as it likes (RFC 1952, section 2.3.1).
    named = EMPTY_MEMBER[:3] + b"\x08" + EMPTY_MEMBER[4:10]
    with pytest.raises(TooLarge):
        read([named, *[b"x" * 1_000] * (MOST // 1_000 + 1)])
