"""What Google's metadata say of a country's telephone numbers, as patterns that settle most candidates without parsing.

They only rule out: what they let pass is for `phonenumbers` to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.phonemetadata import NumberFormat

_CAPTURE = re.compile(r"\(((?:[^()]|\([^()]*\))*)\)")
_COUNTED = re.compile(r"\\d(?:\{(\d+)(?:,(\d+))?\})?")
_REFERENCE = re.compile(r"\\(\d)")
_GROUP = re.compile(r"(?:\\\d|\d)+")
_ANY_COUNT = r"\d{1,17}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The national numbers of a region.

    Attributes:
        layouts: how they are written in several groups: for each layout a pattern of each group.
        in_groups: what a number written in one of the layouts looks like, with a blank between its groups.
        with_prefix: how digits begin that may be more than a national number: a prefix for trunk or foreign calls, or
            the country's own code.
        national: the numbers that may be valid without any such prefix.
    """

    layouts: tuple[tuple[str, ...], ...]
    in_groups: re.Pattern[str]
    with_prefix: re.Pattern[str]
    national: re.Pattern[str]


@lru_cache(maxsize=300)
def plan_of(region: str) -> Plan:
    """The plan of `region`, an ISO 3166 code; regions that share a country code share layouts and valid numbers."""
    code = phonenumbers.country_code_for_region(region)
    sharing = [_metadata(each) for each in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]]
    layouts = tuple(dict.fromkeys(map(_layout, sharing[0].number_format)))
    own = _metadata(region)
    prefixes = (own.international_prefix, own.national_prefix_for_parsing, str(code))
    return Plan(
        layouts,
        in_groups=_one_of(" ".join(layout) for layout in layouts),
        with_prefix=_one_of(filter(None, prefixes)),
        national=_one_of(each.general_desc.national_number_pattern or "" for each in sharing if each.general_desc),
    )


def most_digits(group: str) -> int:
    """How many digits a group of a layout can have."""
    literal = len(_COUNTED.sub("", group))
    return literal + sum(int(most or least or 1) for least, most in _COUNTED.findall(group))


def _layout(number_format: NumberFormat) -> tuple[str, ...]:
    """One pattern for each group of digits that `number_format` makes of a national number."""
    captures = [
        inside if _COUNTED.fullmatch(inside) else _ANY_COUNT for inside in _CAPTURE.findall(number_format.pattern or "")
    ]
    rule, written = number_format.national_prefix_formatting_rule, number_format.format or ""
    if rule:
        # In a rule, ``\1`` is whatever group the format begins with: in Argentina's mobile numbers, the second.
        written = _REFERENCE.sub(lambda first: rule.replace(r"\1", first[0]), written, count=1)
    return tuple(
        _REFERENCE.sub(lambda reference: captures[int(reference[1]) - 1], group) for group in _GROUP.findall(written)
    )


def _metadata(region: str) -> PhoneMetadata:
    found = PhoneMetadata.metadata_for_region(region)
    assert found is not None, region
    return found


def _one_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{each})" for each in patterns) or r"(?!)")
