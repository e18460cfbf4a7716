"""Ids made from their cause: the same cause gives the same id, in the form of a UUIDv7 that sorts by the given time."""

from __future__ import annotations

import hashlib


def made_id(unix_seconds: float, *cause: object) -> str:
    """Return an id with the time in its first 48 bits and 74 bits of the SHA-256 of the cause (RFC 9562, section 5.7).

    The same span, CloudEvent or request that comes again, also to another collector, is the same event again.
    """
    words = "\x1f".join(str(word) for word in cause)
    made = int.from_bytes(hashlib.sha256(words.encode("utf-8", "replace")).digest()[:10], "big")
    value = (int(max(0.0, unix_seconds) * 1000) & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (made >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | made & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
