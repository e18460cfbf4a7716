"""Message boundaries are found wherever the network cuts the bytes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ingest.sidecar.framing import BodyPart, End, Framer, Opaque, StartLine
from ingest.sidecar.http_head import Head, request_body, response_body

REQUESTS = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;note=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
    b"PUT /d HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
)


def seen(framer: Framer, chunks: list[bytes]) -> tuple[list[tuple[str, bytes]], list[int]]:
    """Return each message's target and body, and where in all bytes its start line ends."""
    messages: list[tuple[str, bytes]] = []
    line_ends: list[int] = []
    target, body, offset = "", b"", 0
    for chunk in chunks:
        for item in framer.feed(chunk):
            match item:
                case StartLine():
                    line_ends.append(offset + item.end)
                case Head():
                    target, body = item.start[1], b""
                case BodyPart():
                    body += chunk[item.start : item.end]
                case End():
                    messages.append((target, body))
                case Opaque():
                    messages.append(("opaque", item.reason.encode()))
        offset += len(chunk)
    return messages, line_ends


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(st.integers(0, len(REQUESTS)), max_size=20))
def test_requests_are_told_apart_however_they_are_cut(places: list[int]) -> None:
    messages, line_ends = seen(Framer(request_body), cut(REQUESTS, places))
    assert messages == [("/a", b"hello"), ("/b", b""), ("/c", b"abc0123456789"), ("/d", b"")]
    assert len(line_ends) == 4
    assert all(REQUESTS[:end].endswith(b" HTTP/1.1\r\n") for end in line_ends)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_arbitrary_bytes_never_raise(data: bytes, places: list[int]) -> None:
    framer = Framer(request_body)
    for chunk in cut(data, [place for place in places if place <= len(data)]):
        for item in framer.feed(chunk):
            if isinstance(item, BodyPart):
                assert 0 <= item.start <= item.end <= len(chunk)


def response(raw: bytes, method: str = "GET") -> tuple[list[tuple[str, bytes]], Framer]:
    framer = Framer(lambda head: response_body(head, method))
    return seen(framer, [raw])[0], framer


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    messages, framer = response(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    assert messages == []
    assert framer.ends_with_connection
    assert framer.close() == [End()]


def test_a_response_to_head_has_no_body() -> None:
    messages, framer = response(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD")
    assert messages == [("200", b"")]
    assert framer.between_messages


def test_a_folded_line_belongs_to_the_header_before_it() -> None:
    items = Framer(request_body).feed(b"GET / HTTP/1.1\r\nA: 1\r\n\t2: 3 \r\nB:\r\n 4\r\n\r\n")
    (head,) = [item for item in items if isinstance(item, Head)]
    assert head.headers == (("a", "1 2: 3"), ("b", "4"))


@given(st.lists(st.integers(0, len(REQUESTS)), max_size=20))
def test_lines_may_end_without_a_carriage_return(places: list[int]) -> None:
    plain = REQUESTS.replace(b"\r\n", b"\n")
    messages, line_ends = seen(Framer(request_body), cut(plain, [min(place, len(plain)) for place in places]))
    assert messages == [("/a", b"hello"), ("/b", b""), ("/c", b"abc0123456789"), ("/d", b"")]
    assert all(plain[:end].endswith(b" HTTP/1.1\n") for end in line_ends)


def test_a_head_that_comes_byte_by_byte_is_read_once() -> None:
    head = b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: %s\r\n" % (number, b"v" * 50) for number in range(50)) + b"\r\n"
    messages, line_ends = seen(Framer(request_body), [bytes((byte,)) for byte in head])
    assert (messages, line_ends) == ([("/", b"")], [16])


def test_an_interim_response_is_a_message_of_its_own() -> None:
    messages, _ = response(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert messages == [("100", b""), ("200", b"ok")]


def test_a_changed_protocol_is_opaque() -> None:
    messages, _ = response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x00\x01\x02")
    assert [target for target, _ in messages] == ["opaque"]


def test_contradicting_lengths_are_opaque() -> None:
    messages, _ = response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!")
    assert [target for target, _ in messages] == ["opaque"]


def test_a_head_without_an_end_is_given_up_and_not_kept() -> None:
    framer = Framer(request_body)
    items = [item for _ in range(20) for item in framer.feed(b"x" * (20 << 10))]
    assert [type(item) for item in items] == [Opaque]
