"""Headers that are for the sidecar are taken out of requests, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.clock import SystemClock
from ingest.sidecar.header_strip import without_ours
from ingest.sidecar.http_head import Head
from ingest.sidecar.http_watch import HttpWatch
from ingest.sidecar.metrics import Counters
from ingest.sidecar.tap import GrpcObserver, HttpObserver
from tests.unit.sidecar.h2_streams import cut

NAMES = st.sampled_from(
    ["Host", "x-own", "X-Inferwatch-Team", "x-inferwatch-user", "X-INFERWATCH-", "x-inferwatc", "A"]
)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
BODIES = st.binary(max_size=60) | st.just(b"x-inferwatch-team: in a body\r\n\r\n")
PLACES = st.lists(st.integers(0, 1_000), max_size=12)


class Nobody:
    """A tap that watches nothing."""

    def http(self, at: float, head: Head) -> HttpObserver | None:
        return None

    def grpc(self, at: float, method: str, metadata: object) -> GrpcObserver | None:
        return None


def request(headers: list[tuple[str, str]], body: bytes, chunked: bool) -> bytes:
    """Return a request, in chunks or with a length."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    lines = ["POST /v2/models/m/infer HTTP/1.1", *(f"{name}: {value}" for name, value in headers), framing]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if not chunked:
        return head + body
    pieces = [body[:7], body[7:]]
    chunks = b"".join(f"{len(piece):X};x-inferwatch-a=1\r\n".encode() + piece + b"\r\n" for piece in pieces if piece)
    return head + chunks + b"0\r\nx-inferwatch-trailer: stays\r\n\r\n"


def stripped(pieces: list[bytes]) -> bytes:
    watch = HttpWatch(Nobody(), SystemClock(), Counters(), strip=True)
    return b"".join(out for piece in pieces for out in watch.request(piece))


@given(st.lists(st.tuples(HEADERS, BODIES, st.booleans()), max_size=4), PLACES)
def test_our_headers_alone_are_taken_out_however_requests_are_cut(
    requests: list[tuple[list[tuple[str, str]], bytes, bool]], places: list[int]
) -> None:
    sent = b"".join(request(*given) for given in requests)
    kept = b"".join(
        request([header for header in headers if not header[0].lower().startswith("x-inferwatch-")], body, chunked)
        for headers, body, chunked in requests
    )
    assert stripped(cut(sent, places)) == kept


@given(st.binary(max_size=300), PLACES)
def test_bytes_that_are_not_http_pass_untouched(data: bytes, places: list[int]) -> None:
    sent = b"\x00" + data.replace(b"\r\n\r\n", b"") + b"\r\n\r\n" + data
    assert stripped(cut(sent, places)) == sent


@pytest.mark.parametrize("fold", [b" rest", b"\trest: of it"])
def test_a_folded_line_goes_with_the_header_that_it_belongs_to(fold: bytes) -> None:
    sent = b"GET / HTTP/1.1\r\nX-Own: a\r\n" + fold + b"\r\nX-Inferwatch-Team: b\r\n" + fold + b"\r\nZ: c\r\n\r\n"
    assert stripped([sent]) == b"GET / HTTP/1.1\r\nX-Own: a\r\n" + fold + b"\r\nZ: c\r\n\r\n"


@given(PLACES)
def test_lines_that_end_without_a_carriage_return_are_stripped_too(places: list[int]) -> None:
    sent = b"GET / HTTP/1.1\nX-Own: a\nX-Inferwatch-Team: b\r\nZ: c\n\n" * 2
    assert stripped(cut(sent, places)) == b"GET / HTTP/1.1\nX-Own: a\nZ: c\n\n" * 2


def test_blank_lines_before_a_head_are_not_held() -> None:
    watch = HttpWatch(Nobody(), SystemClock(), Counters(), strip=True)
    blank = b"\r\n" * 1_000
    for _ in range(3):
        assert b"".join(watch.request(blank)) == blank
    head = b"GET / HTTP/1.1\r\nX-Inferwatch-Team: b\r\n\r\n"
    assert b"".join(watch.request(blank + head + blank)) == blank + b"GET / HTTP/1.1\r\n\r\n" + blank


def test_metadata_is_stripped_by_name() -> None:
    headers = ((":path", "/x"), ("x-inferwatch-team", "ads"), ("x-own", "x-inferwatch-"))
    assert without_ours(headers) == ((":path", "/x"), ("x-own", "x-inferwatch-"))
