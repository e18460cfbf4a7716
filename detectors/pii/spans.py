"""What a scanner finds: a type, a place and how sure it is. Never the value itself."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

EntityType: TypeAlias = Literal[
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "IP_ADDRESS",
    "API_KEY",
    "JWT",
    "PRIVATE_KEY",
]
ENTITY_TYPES: tuple[EntityType, ...] = get_args(EntityType)


class Span(NamedTuple):
    """One finding.

    Attributes:
        entity_type: what it is, by Presidio's names where Presidio has one.
        start: first character in the scanned text.
        end: the character after the last.
        score: how sure, from 0 to 1; 1 means a checksum and a format agree.
    """

    entity_type: EntityType
    start: int
    end: int
    score: float
