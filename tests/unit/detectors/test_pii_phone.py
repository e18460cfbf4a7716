"""What is settled about telephone numbers without parsing them agrees with the library that parses them."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from detectors.pii.phone import PhoneRecogniser
from detectors.pii.phone_plans import plan_of

REGIONS = ("US", "GB", "DE", "FR", "IN", "BR", "IT", "AR", "HU", "KZ")
digits = st.text("0123456789", min_size=1, max_size=6)
examples = [
    phonenumbers.format_number(number, form)
    for region in REGIONS
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE)
    if (number := phonenumbers.example_number_for_type(region, kind))
    for form in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL)
]


@st.composite
def written(draw: st.DrawFn) -> str:
    """A number of some plan with other digits, or just digits in groups."""
    if draw(st.booleans()):
        return draw(st.sampled_from((" ", "-", "/"))).join(draw(st.lists(digits, min_size=1, max_size=5)))
    example = draw(st.sampled_from(examples)).lstrip("+")
    places = draw(st.lists(st.integers(0, len(example) - 1), max_size=3))
    return "".join(
        draw(st.sampled_from("0123456789")) if at in places and char.isdigit() else char
        for at, char in enumerate(example)
    )


def valid(number: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(number, region)
    except NumberParseException:
        return None
    return parsed if phonenumbers.is_valid_number(parsed) else None


@settings(deadline=None, max_examples=400)
@given(written(), st.sampled_from(REGIONS))
@example("011 15-2345-6789", "AR")
def test_a_number_without_words_is_found_exactly_if_it_is_valid_and_grouped_as_the_library_groups_it(
    number: str, region: str
) -> None:
    groups = re.findall(r"\d+", number)
    found = next(PhoneRecogniser((region,)).find(number), None)
    if found is not None:
        number = number[found.start : found.end]
    parsed = valid(number, region)
    grouped = parsed and re.findall(r"\d+", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))
    if found is not None:
        assert grouped == re.findall(r"\d+", number)
    elif len(groups) > 1 and 9 <= sum(map(len, groups)) <= 15 and number[0] in "(0123456789":
        looks_like_a_date = re.search(r"(?:19|20)\d\d", number) is not None
        assert grouped != groups or looks_like_a_date or re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){3}", number)


@settings(deadline=None, max_examples=400)
@given(written(), st.sampled_from(REGIONS))
def test_a_number_in_one_group_that_words_announce_is_found_exactly_if_it_is_valid(number: str, region: str) -> None:
    joined = "".join(filter(str.isdigit, number))[:15].ljust(7, "1")
    found = list(PhoneRecogniser((region,)).find(f"call {joined}"))
    assert bool(found) == (valid(joined, region) is not None)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_no_plan_writes_so_many_digits_before_a_number_as_a_call_from_abroad_needs(region: str) -> None:
    """So a number with a prefix for foreign calls is never written as the country it calls would write it."""
    code = str(phonenumbers.country_code_for_region(region))
    for layout in plan_of(region).layouts:
        assert len(re.sub(r"\\d(?:\{[\d,]+\})?", "", "".join(layout))) < len("00" + code)
