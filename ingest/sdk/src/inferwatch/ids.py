"""Event ids: UUIDv7 (RFC 9562, section 5.7), so that they sort by time and index well."""

from __future__ import annotations

import os
import random
import time
from typing import Final

# Seeded by the operating system, and asked for 74 bits at a time: a system call for each id would cost as much as
# everything else that is done for it. A forked child must not go on where its parent does.
_random: Final = random.Random()  # noqa: S311 - ids are to be different, not secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_event_id(unix_milliseconds: int | None = None) -> str:
    """Return a new UUIDv7 as its 36-character text form.

    48 bits of Unix time in milliseconds, 74 bits of randomness: unique without any coordination between processes.
    """
    if unix_milliseconds is None:
        unix_milliseconds = time.time_ns() // 1_000_000
    bits = _random.getrandbits(74)
    high = (unix_milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | bits >> 62
    text = f"{high:016x}{0x8000_0000_0000_0000 | bits & 0x3FFF_FFFF_FFFF_FFFF:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
