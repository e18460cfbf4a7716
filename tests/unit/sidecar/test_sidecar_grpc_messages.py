"""gRPC's messages are told apart wherever the network cuts them; of each only its beginning is kept."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ContentError
from ingest.sidecar.budget import Budget
from ingest.sidecar.grpc_messages import GrpcMessage, MessageSplitter, plain
from tests.unit.sidecar.h2_streams import cut

MESSAGES = st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=6)
PLACES = st.lists(st.integers(0, 1_000), max_size=12)


def framed(data: bytes, compressed: bool = False) -> bytes:
    return bytes((compressed,)) + len(data).to_bytes(4, "big") + data


@given(MESSAGES, PLACES, st.integers(0, 80))
def test_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[bytes, bool]], places: list[int], most: int
) -> None:
    splitter = MessageSplitter(most, Budget(1 << 30))
    sent = b"".join(framed(data, compressed) for data, compressed in messages)
    found = [message for piece in cut(sent, places) for message in splitter.feed(memoryview(piece))]
    assert found == [GrpcMessage(data[:most], len(data), compressed) for data, compressed in messages]
    assert splitter.rest() is None


@given(st.binary(min_size=1, max_size=60), st.integers(0, 64))
def test_the_beginning_of_a_message_is_kept_with_the_size_that_it_was_to_have(data: bytes, here: int) -> None:
    splitter = MessageSplitter(1_000, Budget(1 << 30))
    sent = framed(data)[: min(here, len(data) + 4)]
    assert splitter.feed(memoryview(sent)) == []
    rest = splitter.rest()
    if len(sent) < 5:
        assert rest is None
    else:
        assert rest == GrpcMessage(sent[5:], len(data))
        assert not rest.whole


@pytest.mark.parametrize(
    ("coding", "packed"), [("gzip", gzip.compress(b"x" * 99)), ("deflate", zlib.compress(b"x" * 99))]
)
def test_compressed_messages_are_read_as_far_as_is_wanted(coding: str, packed: bytes) -> None:
    assert plain(packed, coding, 1_000) == b"x" * 99
    assert plain(packed, coding, 10) == b"x" * 10
    assert plain(packed[:-4], coding, 1_000) == b"x" * 99


@pytest.mark.parametrize("coding", ["gzip", "deflate", "snappy", ""])
def test_a_message_in_another_coding_is_said_to_be_unreadable(coding: str) -> None:
    with pytest.raises(ContentError) as failed:
        plain(b"not compressed", coding, 1_000)
    assert failed.value.where == "grpc-encoding"
