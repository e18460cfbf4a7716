"""Whose request it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingest.api_keys.ring import KeyRing
from ingest.errors import Unauthenticated

_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: `key_id` of the key that was shown, and whose events these are where the key says so."""

    key_id: str = ""
    team: str = ""
    environment: str = ""


ANYONE: Final = Caller()


def authenticate(ring: KeyRing | None, headers: Mapping[str, str]) -> Caller:
    """Return the caller of a request; without a ring anyone is let in. Header names are asked for in lower case.

    Raises:
        Unauthenticated: no key is shown, or none that is valid now.
    """
    if ring is None:
        return ANYONE
    given = headers.get("authorization", "")
    text = given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else headers.get("x-api-key", "")
    if not text:
        raise Unauthenticated("an API key is needed, as `Authorization: Bearer iw_…` or `x-api-key: iw_…`")
    key = ring.recognise(text)
    if key is None:
        raise Unauthenticated("this API key is unknown, revoked or expired")
    return Caller(key.id, key.team, key.environment)
