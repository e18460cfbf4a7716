"""Telephone numbers: shapes by pattern, validity by Google's libphonenumber, and the words around to settle doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import phonenumbers

from detectors.pii.recogniser import words_before
from detectors.pii.spans import EntityType, Span

_CANDIDATE = re.compile(
    r"(?:(?P<plus>\+(?<![\w+]\+))|\((?<!\w\()(?=\d)|\d(?<![\w./$€£#@+(-]\d)(?<!\d,\d))[\d ().\-/]{5,23}(?<=\d)"
    r"(?P<ext>\s?(?:x|ext\.?)\s?\d{1,6})?(?!\w|-\d|-[0-9A-Fa-f]{4}\b|[.,:/@%]\d|\s?[%€$£])"
)
_GROUPS = re.compile(r"\d+")
_DATE = re.compile(r"(?:19|20)\d\d[-/. ][01]?\d[-/. ][0-3]?\d(?: \d\d)?|[0-3]?\d[-/. ][0-3]?\d[-/. ](?:19|20)\d\d")
# Version numbers and IP addresses have this shape, telephone numbers have not.
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_LABEL_AFTER = re.compile(r"\s?[-(]?\s?(?:fax|mobile|cell|office|home|work|desk|tel|phone)\b", re.IGNORECASE)
_FOR = frozenset(
    {
        *("phone", "phones", "telephone", "tel", "mobile", "cell", "cellphone", "landline", "handy", "telefon"),
        *("call", "calls", "called", "calling", "ring", "dial", "reach", "contact", "text", "sms", "whatsapp"),
        *("message", "messages", "answering"),
        *("fax", "voicemail", "hotline", "téléphone", "teléfono"),
    }
)
_AGAINST = frozenset(
    {
        *("order", "orders", "invoice", "ticket", "case", "account", "acct", "tracking", "transaction", "card"),
        *("serial", "sku", "isbn", "version", "build", "commit", "issue", "bug", "batch", "ref", "reference"),
        *("id", "uuid", "timestamp", "epoch", "price", "total", "amount", "zip", "address"),
        *("license", "licence", "passport"),
    }
)


class PhoneRecogniser:
    """Finds telephone numbers.

    International numbers must have a possible length. National ones must be valid in one of `regions` and written in
    groups, or stand beside a word such as "phone"; there a number in groups counts even where its region is unknown. Of
    the words before a number the nearest that says anything decides: "order 555…" is none.
    """

    entity_types: frozenset[EntityType] = frozenset({"PHONE_NUMBER"})
    needs_digit = True

    def __init__(self, regions: Sequence[str]) -> None:
        """`regions` are ISO 3166 codes, e.g. ``"US"``."""
        self._regions = tuple(regions)

    def possible(self, text: str) -> bool:
        """Whether there is a number of such a shape."""
        return _CANDIDATE.search(text) is not None

    def find(self, text: str) -> Iterator[Span]:
        """Numbers that are telephone numbers by their own validity, or by the words before them."""
        for match in _CANDIDATE.finditer(text):
            written = match.group()
            groups = _GROUPS.findall(written[: match.start("ext") - match.start()] if match["ext"] else written)
            if (
                not 7 <= sum(map(len, groups)) <= 15
                or len(groups) > 6
                or _DATE.fullmatch(written)
                or _QUAD.fullmatch(written)
            ):
                continue
            score = self._score(text, match, groups)
            if score:
                yield Span("PHONE_NUMBER", match.start(), match.end(), score)

    def _score(self, text: str, match: re.Match[str], groups: list[str]) -> float:
        if match["plus"]:
            return _international(match.group())
        said = next((w in _FOR for w in words_before(text, match.start(), 40) if w in _FOR or w in _AGAINST), None)
        if said is None and _LABEL_AFTER.match(text, match.end()):
            said = True
        grouped = len(groups) > 1
        # Short national numbers look like house numbers and postcodes: length alone must speak for them.
        if said is False or not (said or (grouped and sum(map(len, groups)) >= 9)):
            return 0.0
        if not said:
            return 0.6 if any(_written_as_in(match.group(), region) for region in self._regions) else 0.0
        if any(_valid(match.group(), region) for region in self._regions):
            return 0.8
        return 0.5 if said and grouped and max(map(len, groups)) <= 8 else 0.0


def _international(written: str) -> float:
    """A plus sign says enough for a number of a possible length, be its area code known or not."""
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return 0.0
    if phonenumbers.is_valid_number(number):
        return 0.9
    return 0.7 if phonenumbers.is_possible_number(number) else 0.0


def _written_as_in(written: str, region: str) -> bool:
    """Whether it is valid in the region and its groups are the ones people there write."""
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number):
        return False
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return _GROUPS.findall(national) == _GROUPS.findall(written)


def _valid(written: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False
