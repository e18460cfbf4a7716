"""Event ids: UUIDv7 (RFC 9562, section 5.7), so that they sort by time and index well."""

from __future__ import annotations

import os
import time


def new_event_id(unix_milliseconds: int | None = None) -> str:
    """Return a new UUIDv7 as its 36-character text form.

    48 bits of Unix time in milliseconds, 74 bits of randomness: unique without any coordination between processes.
    """
    if unix_milliseconds is None:
        unix_milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (unix_milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
