"""International bank account numbers (ISO 13616): the country's length, then the check digits modulo 97."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from stdnum import iban, numdb

from detectors.pii import wire
from detectors.pii.recogniser import Signs, in_two_ways
from detectors.pii.spans import EntityType, Span

# Begins with the digits, which are rarer than letters, and looks back for the country.
_CANDIDATE = in_two_ways(r"\d\d(?<=(?<![^\W_])[A-Za-z][A-Za-z]\d\d)(?=[ -]?[A-Za-z0-9]{4})")
# The kinds of characters in the registry's structures, e.g. ``4!a6!n8!n``.
_CLASSES = {"n": r"\d", "a": "[A-Za-z]"}
_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


class IbanRecogniser:
    """Finds IBANs, written together or in groups, in either case."""

    entity_types: frozenset[EntityType] = frozenset({"IBAN_CODE"})
    needs_digit = True
    shortest = min(_LENGTHS.values())

    def signs(self) -> Signs:
        """A country's letters, two digits, and the beginning of what its numbers are made of."""
        left, alike = wire.after("0-9A-Za-z"), defaultdict(list)
        for country in _LENGTHS:
            alike[_first_classes(country, self.shortest - 4)].append(country)
        return Signs(
            coarse=(left + r"[A-Za-z]{2}\d\d[ \-]?[A-Za-z0-9]{4}",),
            fine=tuple(rf"{left}(?i:{'|'.join(countries)})\d\d[ \-]?{classes}" for classes, countries in alike.items()),
        )

    def possible(self, text: str) -> bool:
        """Whether two letters and two digits begin something."""
        return _CANDIDATE[text.isascii()].search(text) is not None

    def find(self, text: str) -> Iterator[Span]:
        """Numbers of the right length for their country with the right check digits."""
        for match in _CANDIDATE[text.isascii()].finditer(text):
            start = match.start() - 2
            length = _LENGTHS.get(text[start : start + 2].upper())
            end = _end(text, start, length) if length else None
            if end is not None and iban.is_valid(text[start:end].replace("-", " ")):
                yield Span("IBAN_CODE", start, end, 1.0)


def _first_classes(country: str, count: int) -> str:
    """Patterns for the first characters of a country's account numbers, with blanks or hyphens between them."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    kinds = "".join(kind * int(times) for times, kind in re.findall(r"(\d+)!([nac])", structure))
    return r"[ \-]?".join(_CLASSES.get(kind, "[A-Za-z0-9]") for kind in kinds[:count].ljust(count))


def _end(text: str, start: int, length: int) -> int | None:
    """Where `length` letters and digits from `start` end, if single blanks or hyphens at most stand between them."""
    place, taken = start, 0
    while taken < length and place < len(text):
        if text[place].isascii() and text[place].isalnum():
            taken += 1
        elif text[place] not in " -" or not text[place - 1].isalnum():
            return None
        place += 1
    inside = taken < length or (place < len(text) and (text[place].isalnum() or text[place] == "_"))
    return None if inside else place
