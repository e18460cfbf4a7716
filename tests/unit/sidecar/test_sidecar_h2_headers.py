"""What is put behind or in the place of a header block is read by its receiver as it is meant."""

import contextlib
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ContentError
from ingest.sidecar.h2_headers import HeaderReader, literals, table_updates
from tests.unit.sidecar.h2_streams import HEADER_LISTS, Encoding, Receiving

OURS = (("x-inferwatch-event-id", "0198-é"),)
SIZES = st.none() | st.sampled_from([0, 40, 100, 4_096])


@given(st.lists(st.tuples(HEADER_LISTS, SIZES, st.booleans()), max_size=12))
def test_headers_put_behind_blocks_leave_their_table_what_it_was(
    blocks: list[tuple[list[tuple[str, str]], int | None, bool]],
) -> None:
    sender, reader, receiver = Encoding(), HeaderReader(), Receiving()
    for headers, size, huffman in blocks:
        if size is not None:
            sender.resize(size)
        block = sender.block(headers, huffman=huffman)
        assert reader.read(block) == tuple(headers)
        assert receiver.read(block + literals(OURS)) == (*headers, *OURS)


@given(st.lists(st.tuples(HEADER_LISTS, SIZES), max_size=12))
def test_blocks_encoded_anew_need_no_table_and_keep_its_size(
    blocks: list[tuple[list[tuple[str, str]], int | None]],
) -> None:
    sender, reader, receiver = Encoding(), HeaderReader(), Receiving()
    for headers, size in blocks:
        if size is not None:
            sender.resize(size)
            receiver.allow(size)
        block = sender.block(headers)
        assert receiver.read(table_updates(block) + literals(reader.read(block))) == tuple(headers)


@given(HEADER_LISTS, st.lists(st.integers(0, 4_096), max_size=2))
def test_only_sizes_of_tables_are_taken_from_the_beginning_of_a_block(
    headers: list[tuple[str, str]], sizes: list[int]
) -> None:
    block = Encoding().block(headers)
    updates = b""
    for size in sizes:
        resized = Encoding()
        resized.resize(size)
        updates += resized.block([])
    assert table_updates(updates + block) == updates


@pytest.mark.parametrize("block", [b"\x3f", b"\x3f\xff", b"\x20\x3f\xe1"])
def test_a_size_that_is_cut_is_taken_as_far_as_it_goes(block: bytes) -> None:
    assert table_updates(block) == block


def test_what_may_not_be_indexed_stays_so() -> None:
    sent = Encoding().secret_block("authorization", "secret")
    read = HeaderReader().read(sent)
    assert read == (("authorization", "secret"),)
    assert literals(read)[0] & 0xF0 == 0x10


def test_the_same_bytes_mean_something_else_once_the_table_has_changed() -> None:
    sender, reader = Encoding(), HeaderReader()
    for value in ("one", "two", "three"):
        first, *again = [sender.block([("x-a", value)]) for _ in range(3)]
        assert again[0] == again[1] != first
        assert [reader.read(block) for block in (first, *again)] == [(("x-a", value),)] * 3


def test_a_table_that_grows_by_agreement_is_followed() -> None:
    sender, reader = Encoding(), HeaderReader()
    reader.allow_table(65_536)
    sender.resize(65_536)
    for round_ in range(3):
        headers = [(f"x-{number}", "v" * 100) for number in range(100)]
        assert reader.read(sender.block(headers)) == tuple(headers), round_


def test_a_table_that_was_not_agreed_on_is_an_error() -> None:
    sender = Encoding()
    sender.resize(65_536)
    with pytest.raises(ContentError):
        HeaderReader().read(sender.block([("a", "b")]))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_headers_raise_nothing_else(block: bytes) -> None:
    assert block.startswith(table_updates(block))
    with contextlib.suppress(ContentError):
        HeaderReader().read(block)


def remembered(blocks: Iterable[bytes], *before: tuple[str, str]) -> int:
    """Return how many bytes a reader keeps after it has read these blocks."""
    reader = HeaderReader()
    reader.read(Encoding().block(list(before)))
    tracemalloc.start()
    try:
        for block in blocks:
            reader.read(block)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_remembered_of_headers_is_bounded_in_bytes() -> None:
    long = (bytes((0x81 + number, 0x82)) + b"\x82" * 2_000 for number in range(40))
    assert remembered(long) < 1 << 20
    telling_much = (bytes((0x81 + number, 0x82)) + b"\xbe" * 60 for number in range(40))
    assert remembered(telling_much, ("x-large", "v" * 4_000)) < 1 << 20


def test_headers_that_unfold_to_megabytes_are_given_up() -> None:
    sender, reader = Encoding(), HeaderReader()
    reader.read(sender.block([("x-large", "v" * 4_000)]))
    with pytest.raises(ContentError):
        reader.read(b"\xbe" * 1_000)
