"""Frames of HTTP/2 are told apart wherever the network cuts them, and come out as they went in."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sidecar.h2_frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Block,
    FrameReader,
    NotHttp2,
    frame,
    header_frames,
)
from tests.unit.sidecar.h2_streams import (
    OTHER_FRAMES,
    PAYLOADS,
    STREAMS,
    block_frames,
    client_connection,
    cut,
    data_frames,
    split_frames,
)

PUSH_PROMISE = 0x5
PLACES = st.lists(st.integers(0, 1_000), max_size=12)


class Seen:
    """What a reader told; `replace` may return frames for a block, or raise."""

    def __init__(self, replace: Callable[[Block], bytes | None] = lambda _: None) -> None:
        self.blocks: list[tuple[int, bytes, bool]] = []
        self.pieces: list[tuple[int, bytes, bool]] = []
        self.controls: list[tuple[int, int, int, bytes]] = []
        self._replace = replace

    def headers(self, block: Block) -> bytes | None:
        self.blocks.append((block.stream, block.encoded, block.ends_stream))
        return self._replace(block)

    def data(self, stream: int, data: memoryview, ends_stream: bool) -> None:
        self.pieces.append((stream, bytes(data), ends_stream))

    def control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.controls.append((kind, flags, stream, payload))

    def content(self) -> dict[int, bytes]:
        """Return all content of each stream."""
        return {number: b"".join(data for stream, data, _ in self.pieces if stream == number) for number in range(1, 6)}


def followed(seen: Seen, pieces: list[bytes], preface: bytes = b"") -> bytes:
    """Return everything that leaves a reader which is given these pieces and then left."""
    reader = FrameReader(seen, preface)
    passed: list[bytes] = []
    for index, piece in enumerate(pieces):
        try:
            passed += reader.feed(piece)
        except (NotHttp2, ZeroDivisionError):
            return b"".join([*passed, *reader.release(), *pieces[index + 1 :]])
    return b"".join([*passed, *reader.release()])


@given(
    st.lists(st.one_of(data_frames(), block_frames(), OTHER_FRAMES.map(lambda raw: (raw, None))), max_size=8), PLACES
)
def test_frames_pass_as_they_are_and_say_the_same_however_they_are_cut(
    frames: list[tuple[bytes, tuple[int, bytes, bool] | None]], places: list[int]
) -> None:
    sent = client_connection(*[raw for raw, _ in frames])
    seen, uncut = Seen(), Seen()
    assert followed(seen, cut(sent, places), PREFACE) == sent
    assert followed(uncut, [sent], PREFACE) == sent
    assert seen.blocks == uncut.blocks == [said for raw, said in frames if said is not None and raw[3] == HEADERS]
    told = [said for raw, said in frames if said is not None and raw[3] == DATA]
    assert seen.content() == {
        number: b"".join(data for stream, data, _ in told if stream == number) for number in range(1, 6)
    }
    ends = [stream for stream, _, ends_stream in told if ends_stream]
    assert [stream for stream, _, ends_stream in seen.pieces if ends_stream] == ends


@given(block_frames(), PAYLOADS, PLACES)
def test_a_block_is_passed_on_only_when_it_is_complete(
    block: tuple[bytes, tuple[int, bytes, bool]], before: bytes, places: list[int]
) -> None:
    sent = frame(DATA, 0, 1, before) + block[0]
    reader = FrameReader(Seen())
    passed, given = b"", 0
    for piece in cut(sent, places):
        passed += b"".join(reader.feed(piece))
        given += len(piece)
        assert len(passed) <= len(sent) - len(block[0]) or given == len(sent)
    assert passed == sent
    assert reader.between_frames


@given(st.lists(block_frames(), min_size=1, max_size=4), PLACES)
def test_a_replaced_block_takes_the_place_of_its_frames(
    blocks: list[tuple[bytes, tuple[int, bytes, bool]]], places: list[int]
) -> None:
    data = frame(DATA, 0, 1, b"content")
    sent = b"".join(raw + data for raw, _ in blocks)
    passed = followed(Seen(lambda _: b"<replaced>"), cut(sent, places))
    assert passed == (b"<replaced>" + data) * len(blocks)


@given(st.binary(max_size=300), PLACES, st.booleans())
def test_bytes_that_are_no_frames_come_out_all_the_same(data: bytes, places: list[int], begun: bool) -> None:
    sent = PREFACE + data if begun else data
    assert followed(Seen(), cut(sent, places), PREFACE) == sent


@given(st.lists(block_frames(), min_size=1, max_size=4), st.integers(0, 3), PLACES)
def test_a_callback_that_raises_costs_no_byte(
    blocks: list[tuple[bytes, tuple[int, bytes, bool]]], survived: int, places: list[int]
) -> None:
    calls = iter(range(100))

    def replace(_block: Block) -> bytes | None:
        if next(calls) >= survived:
            raise ZeroDivisionError
        return None

    sent = b"".join(raw + frame(PING, 0, 0, bytes(8)) for raw, _ in blocks)
    assert followed(Seen(replace), cut(sent, places)) == sent


def test_control_frames_are_told_whole() -> None:
    seen = Seen()
    sent = frame(SETTINGS, ACK, 0) + frame(RST_STREAM, 0, 7, b"\x00\x00\x00\x08") + frame(PING, 0, 0, bytes(8))
    assert followed(seen, [bytes((byte,)) for byte in sent]) == sent
    assert seen.controls == [(SETTINGS, ACK, 0, b""), (RST_STREAM, 0, 7, b"\x00\x00\x00\x08"), (PING, 0, 0, bytes(8))]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(frame(HEADERS, 0, 1, b"a") + frame(DATA, 0, 1, b"b"), id="interrupted by content"),
        pytest.param(frame(HEADERS, 0, 1, b"a") + frame(CONTINUATION, 4, 3, b"b"), id="interrupted by another stream"),
        pytest.param(frame(CONTINUATION, END_HEADERS, 1, b"a"), id="without a beginning"),
        pytest.param(frame(PUSH_PROMISE, END_HEADERS, 1, b"\x00\x00\x00\x02\x82"), id="of a promise"),
        pytest.param(frame(SETTINGS, 0, 0, bytes((1 << 20) + 1)), id="beside settings of a megabyte"),
        pytest.param(frame(DATA, PADDED, 1, bytes((1 << 20) + 1)), id="beside padding of a megabyte"),
    ],
)
def test_blocks_that_cannot_be_followed_are_given_up_and_passed_on(frames: bytes) -> None:
    reader = FrameReader(Seen())
    with pytest.raises(NotHttp2):
        reader.feed(frames)
    assert b"".join(reader.release()) == frames


@pytest.mark.parametrize("fragment", [b"", b"x" * 1_000])
def test_a_block_without_an_end_is_given_up_before_it_fills_the_memory(fragment: bytes) -> None:
    reader = FrameReader(Seen())
    reader.feed(frame(HEADERS, 0, 1, fragment))
    more = frame(CONTINUATION, 0, 1, fragment) * 1_000
    with pytest.raises(NotHttp2):
        any(reader.feed(more) for _ in range(200))
    assert sum(map(len, reader.release())) < 3 << 20


def test_content_is_passed_on_at_once_and_nothing_of_it_is_kept() -> None:
    reader = FrameReader(Seen())
    size = (1 << 24) - 1
    reader.feed(frame(DATA, 0, 1, bytes(size))[: 9 + 100])
    assert not reader.between_frames
    piece = bytes(65_536)
    assert reader.feed(piece) == [piece]
    assert reader.release() == []


@given(st.integers(0, 50_000), st.booleans(), st.booleans(), STREAMS)
def test_a_large_block_is_written_in_frames_that_every_receiver_takes(
    size: int, ends: bool, urgent: bool, stream: int
) -> None:
    block = Block(stream, ends, bytes(size), b"\x00\x00\x00\x00\x07" if urgent else b"")
    written = header_frames(block)
    seen = Seen()
    assert followed(seen, [written]) == written
    assert seen.blocks == [(stream, bytes(size), ends)]
    assert max(len(payload) for *_, payload in split_frames(written)) <= 16_384
