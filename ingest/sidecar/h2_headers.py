"""Header blocks of HTTP/2 (HPACK, RFC 7541): read with the table of their connection, written without one.

What is written here is never indexed, so that it can be put behind a block that somebody else encoded, or in its place,
and the receiver's table stays what its sender thinks it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hpack import Decoder, HPACKError

from ingest.errors import ContentError

Headers = tuple[tuple[str, str], ...]

_LARGEST_TABLE: Final = 16 << 20
_MOST_KNOWN_BYTES: Final = 64 << 10
"""What the headers of remembered blocks take together; such a block may be short and say much."""
_HEADER_BYTES: Final = 32
"""What a header takes beside its name and value (section 4.1)."""
_LARGEST_LIST: Final = 1 << 20


class HeaderReader:
    """Reads the header blocks of one direction, in their order: each may refer to those before it."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=_LARGEST_LIST)
        self._known: dict[bytes, Headers] = {}
        self._known_bytes = 0

    def allow_table(self, size: int) -> None:
        """See how large a table the receiver of this direction allows; the sender says when it makes use of it."""
        allowed = self._decoder.max_allowed_table_size
        self._decoder.max_allowed_table_size = max(allowed, min(size, _LARGEST_TABLE))

    def read(self, block: bytes) -> Headers:
        """Return names and values, each byte as the character of its number, so that nothing is lost.

        Raises:
            ContentError: it is not HPACK; later blocks cannot be read either.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            found = self._decoder.decode(block, raw=True)
        except HPACKError as error:
            raise ContentError("headers", type(error).__name__) from error
        headers = tuple([(_text(header[0]), _text(header[1])) for header in found])
        if _only_refers(block) and (size := self._known_bytes + _size(headers)) <= _MOST_KNOWN_BYTES:
            self._known[block] = headers
            self._known_bytes = size
        else:
            self._known.clear()
            self._known_bytes = 0
        return headers


def _only_refers(block: bytes) -> bool:
    """Whether a block consists of indices alone, a byte each (section 6.1): it leaves the table as it is.

    Such blocks, most of what servers send, mean the same until another one changes the table.
    """
    return bool(block) and min(block) > 0x80 and max(block) < 0xFF


def _size(headers: Headers) -> int:
    return sum([len(name) + len(value) + _HEADER_BYTES for name, value in headers])


def literal(name: str, value: str) -> bytes:
    """Return one header as a literal that is never to be indexed, with a new name (section 6.2.3).

    A sender's own literals of that kind have to stay so; and of what the sidecar adds, no two are equal.
    """
    return b"\x10" + _string(name) + _string(value)


def literals(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return headers as a block."""
    return b"".join([literal(name, value) for name, value in headers])


def table_updates(block: bytes) -> bytes:
    """Return the beginning of a block that says how large its sender's table is now (section 6.3).

    The receiver may have asked for that, so it has to get it also where the rest is encoded anew.
    """
    at = 0
    while at < len(block) and block[at] & 0xE0 == 0x20:
        more = block[at] & 0x1F == 0x1F
        at += 1
        while more and at < len(block):
            more = block[at] >= 0x80
            at += 1
    return block[:at]


def _string(text: str) -> bytes:
    data = _bytes(text)
    return _length(len(data)) + data


def _length(value: int) -> bytes:
    """Return an integer with a prefix of 7 bits (section 5.1)."""
    if value < 127:
        return bytes((value,))
    encoded, left = bytearray((127,)), value - 127
    while left >= 128:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")
