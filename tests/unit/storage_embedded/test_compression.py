from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # publishes no type information
import lz4.frame  # type: ignore[import-untyped]  # publishes no type information
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from storage.embedded.compression import Decompressor, compressor, decompressor
from storage.embedded.errors import UploadFailed

LARGEST_PIECE = 4 * 1024 * 1024

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def known(coding: str) -> Decompressor:
    stream = decompressor(coding)
    assert stream is not None
    return stream


@given(
    coding=st.sampled_from(sorted(CODINGS)),
    blocks=st.lists(st.binary(max_size=200), min_size=1),
    step=st.integers(1, 50),
)
def test_every_frame_of_a_body_arrives(coding: str, blocks: list[bytes], step: int) -> None:
    body = b"".join(CODINGS[coding](block) for block in blocks)
    stream = known(coding)
    plain = [piece for at in range(0, len(body), step) for piece in stream.feed(body[at : at + step])]
    stream.finish()
    assert b"".join(plain) == b"".join(blocks)


@pytest.mark.parametrize("coding", [*CODINGS, "br"])
def test_little_that_stands_for_much_comes_in_pieces(coding: str) -> None:
    size = 2 * LARGEST_PIECE + 1234
    body = {**CODINGS, "br": brotli.compress}[coding](bytes(size))
    stream = known(coding)
    pieces = [len(piece) for piece in stream.feed(body)]
    stream.finish()
    assert sum(pieces) == size
    assert max(pieces) <= 2 * LARGEST_PIECE


@pytest.mark.parametrize("coding", [*CODINGS, "br"])
def test_a_body_cut_short_is_an_error(coding: str) -> None:
    body = {**CODINGS, "br": brotli.compress}[coding](bytes(range(256)) * 20)
    stream = known(coding)
    list(stream.feed(body[:-5]))
    with pytest.raises(UploadFailed, match="cut short"):
        stream.finish()


@pytest.mark.parametrize("coding", [*CODINGS, "br"])
def test_a_damaged_body_is_an_error(coding: str) -> None:
    stream = known(coding)
    with pytest.raises(UploadFailed, match="not"):
        list(stream.feed(b"this is not compressed at all, not in the least" * 10))


def test_a_second_brotli_stream_is_an_error_and_not_dropped() -> None:
    stream = known("br")
    with pytest.raises(UploadFailed):
        list(stream.feed(brotli.compress(b"x" * 100) + brotli.compress(b"y" * 100)))


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(UploadFailed) as caught:
        decompressor("snappy")
    assert caught.value.status == 415


@given(st.sampled_from(["lz4", "zstd", "gzip", "deflate"]), st.lists(st.binary(max_size=200)))
def test_answers_come_back_as_they_were(coding: str, blocks: list[bytes]) -> None:
    chosen = compressor(f"unknown, {coding};q=0.5")
    assert chosen is not None
    name, packer = chosen
    packed = b"".join(packer.feed(block) for block in blocks) + packer.finish()
    stream = known(name)
    assert (name, b"".join(stream.feed(packed))) == (coding, b"".join(blocks))
    stream.finish()


def test_plain_answers_where_nothing_known_is_accepted() -> None:
    assert compressor("") is None
    assert compressor("br, snappy") is None
