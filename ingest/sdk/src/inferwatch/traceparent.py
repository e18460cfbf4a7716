"""The header `traceparent` (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_fields(traceparent: str | None) -> dict[str, str]:
    """Return event fields; none for a header that is absent or malformed, which section 3.2.2 says to ignore."""
    found = _FORM.fullmatch(traceparent) if isinstance(traceparent, str) else None
    # Only versions after 00 may go on after the flags (section 3.2.4).
    if found is None or (found[1] == "00" and found[4]):
        return {}
    return {"trace_id": found[2], "parent_span_id": found[3]}
