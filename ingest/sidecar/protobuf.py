"""Walk serialised protobuf without decoding it, also where its end is missing.

The format is that of protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

Field = tuple[int, int, int]
"""Field number, and where its value starts and ends."""


def fields(data: bytes, start: int = 0, end: int | None = None, *, cut: bool = False) -> Iterator[Field]:
    """Yield the fields of the message in `data[start:end]`; stop before one that is incomplete or malformed.

    The value of a varint is the varint itself, that of a length-delimited field its content; with `cut`, also the
    beginning of such a content that goes on beyond the end.
    """
    at, end = start, len(data) if end is None else end
    while at < end:
        tag, value = _varint(data, at, end)
        match tag & 7:
            case 0:
                after = _varint(data, value, end)[1]
            case 1:
                after = value + 8
            case 2:
                length, value = _varint(data, value, end)
                after = value + length
                if cut and value <= end:
                    after = min(after, end)
            case 5:
                after = value + 4
            case _:
                return
        if after > end:
            return
        yield tag >> 3, value, after
        at = after


def complete_prefix(data: bytes) -> bytes:
    """Return the part of a cut message that ends with its last complete field; it can be decoded."""
    return data[: max((end for _, _, end in fields(data)), default=0)]


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a varint and the offset after it, an offset beyond `end` where it is cut or longer than 64 bits."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, end + 1
