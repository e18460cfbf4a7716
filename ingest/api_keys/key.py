"""One API key: `iw_`, eight letters that name it, `_`, and 32 random bytes in URL-safe Base64.

Only a SHA-256 of it is kept. A slow password hash would add nothing: nobody guesses 256 random bits, and each request
would pay for it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

import msgspec

_TEXT: Final = re.compile(r"iw_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a key. `sha256` is of the whole text; times are Unix seconds.

    Events that come with it belong to `team` and `environment`, whatever they say themselves, where these are set.
    """

    id: str
    sha256: str
    team: str = ""
    environment: str = ""
    note: str = ""
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def valid(self, now: float) -> bool:
        """Whether it may be used at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def matches(self, text: str) -> bool:
        """Whether this is the key; takes as long whether it is or not."""
        return hmac.compare_digest(self.sha256, digest(text))


def new_secret() -> tuple[str, str]:
    """Return the id of a new key and its text, which nobody can show again."""
    key_id = secrets.token_hex(4)
    return key_id, f"iw_{key_id}_{secrets.token_urlsafe(32)}"


def digest(text: str) -> str:
    """Return the SHA-256 of a key's text in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def id_in(text: str) -> str | None:
    """Return the id that a key's text names, None where it has not the form of a key."""
    found = _TEXT.fullmatch(text)
    return None if found is None else found[1]
