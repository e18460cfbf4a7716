"""Telephone numbers: shapes by pattern, validity by Google's libphonenumber, and the words around to settle doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import phonenumbers

from detectors.pii import wire
from detectors.pii.phone_plans import most_digits, plan_of
from detectors.pii.recogniser import Signs, in_two_ways, words_before
from detectors.pii.spans import EntityType, Span

# What may come before the first character is looked at after it: a search can then leap from one such to the next.
_CANDIDATE = in_two_ways(
    r"[\d+(](?:(?<=\+)(?<![\w+]\+)|(?<=\()(?<!\w\()(?=\d)|(?<=\d)(?<![\w./$€£#@+(-]\d)(?<!\d,\d))"
    r"[\d ().\-/]{5,23}(?<=\d)"
    r"(?P<ext>\s?(?:x|ext\.?)\s?\d{1,6})?(?!\w|-\d|-[0-9A-Fa-f]{4}\b|[.,:/@%]\d|\s?[%€$£])"
)
_GROUPS = re.compile(r"\d+")
_DATE = re.compile(r"(?:19|20)\d\d[-/. ][01]?\d[-/. ][0-3]?\d(?: \d\d)?|[0-3]?\d[-/. ][0-3]?\d[-/. ](?:19|20)\d\d")
# Version numbers and IP addresses have this shape, telephone numbers have not.
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_LABELS = ("fax", "mobile", "cell", "office", "home", "work", "desk", "tel", "phone")
_LABEL_AFTER = re.compile(rf"\s?[-(]?\s?(?:{'|'.join(_LABELS)})\b", re.IGNORECASE)
_REACH = 40
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
# Over bytes: what stands before a national number, between its digits, and as white space after it.
_LEFT = wire.after(r"\w./$#@+\-")
_GAP = r"[ ().\-/]"
_SEVEN = rf"\d(?:{_GAP}*\d){{6}}"
_BLANK = rf"(?:{wire.ESCAPE}|[ \x80-\xff]{{1,3}})"
# A date with no digit near it but those of a time, and no extension after it.
_END = r"[^0-9().\-/ xe\\\x80-\xff]"
_DATE_ALONE = rf'[^0-9().\-/+ ] {{0,3}}(?:{_DATE.pattern})(?:{_END}|[().\-/ ]{_END}|\\["\\bfnrt][^xe]| \d\d?:\d)'
_AFTER_OTHER_WORD = rf'[^A-Za-z\\\x80-\xff](?i:{"|".join(sorted(_AGAINST))})[^A-Za-z0-9"\\\n\x80-\xff]{{1,8}}{_SEVEN}'
_LEAST_UNTOLD = 9
_VARYING = re.compile(r"\\d\{\d+,\d+\}")


class PhoneRecogniser:
    """Finds telephone numbers.

    International numbers must have a possible length. National ones must be valid in one of `regions` and written in
    groups, or stand beside a word such as "phone"; there a number in groups counts even where its region is unknown. Of
    the words before a number the nearest that says anything decides: "order 555…" is none.
    """

    entity_types: frozenset[EntityType] = frozenset({"PHONE_NUMBER"})
    needs_digit = True
    shortest = 7

    def __init__(self, regions: Sequence[str]) -> None:
        """`regions` are ISO 3166 codes, e.g. ``"US"``."""
        self._regions = tuple(regions)

    def signs(self) -> Signs:
        """Seven digits: after a plus, in groups as in one of the regions, or with words that say what they are."""
        layouts = dict.fromkeys(layout for region in self._regions for layout in plan_of(region).layouts)
        return Signs(
            coarse=(wire.NUMBER,),
            fine=(
                rf"\+{_GAP}*{_SEVEN}",
                *map(_in_bytes, filter(None, map(_long_enough, layouts))),
                rf"(?:{_SEVEN}|x{_BLANK}?\d{{1,6}}|ext\.?{_BLANK}?\d{{1,6}}){_BLANK}?[\-(]?{_BLANK}?{wire.any_of(_LABELS)}",
            ),
            doubtful=wire.after_words(_FOR, _REACH, _LEFT + _SEVEN),
            harmless=(_DATE_ALONE, _AFTER_OTHER_WORD),
        )

    def possible(self, text: str) -> bool:
        """Whether there is a number of such a shape."""
        return _CANDIDATE[text.isascii()].search(text) is not None

    def find(self, text: str) -> Iterator[Span]:
        """Numbers that are telephone numbers by their own validity, or by the words before them."""
        for match in _CANDIDATE[text.isascii()].finditer(text):
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
        written = match.group()
        if written[0] == "+":
            return _international(written)
        said = next((w in _FOR for w in words_before(text, match.start(), _REACH) if w in _FOR or w in _AGAINST), None)
        if said is None and _LABEL_AFTER.match(text, match.end()):
            said = True
        grouped = len(groups) > 1
        # Short national numbers look like house numbers and postcodes: length alone must speak for them.
        if said is False or not (said or (grouped and sum(map(len, groups)) >= _LEAST_UNTOLD)):
            return 0.0
        # An extension, and digits that are not ASCII, are more than the plans know of.
        plain = not match["ext"] and written.isascii()
        if not said:
            return 0.6 if self._in_a_layout(written, groups if plain else None) else 0.0
        if self._valid(written, "".join(groups) if plain else None):
            return 0.8
        return 0.5 if said and grouped and max(map(len, groups)) <= 8 else 0.0

    def _in_a_layout(self, written: str, groups: list[str] | None) -> bool:
        """Whether it is valid in some region and its groups are the ones people there write."""
        apart = " ".join(groups) if groups else None
        return any(
            _written_as_in(written, region)
            for region in self._regions
            if apart is None or plan_of(region).in_groups.fullmatch(apart)
        )

    def _valid(self, written: str, digits: str | None) -> bool:
        """Whether it is valid in some region."""
        return any(
            _valid_in(written, region)
            for region, plan in ((each, plan_of(each)) for each in self._regions)
            if digits is None or plan.with_prefix.match(digits) or plan.national.fullmatch(digits)
        )


# The same hotline stands in every prompt of an application, so it is worth remembering what became of it.
@lru_cache(maxsize=4096)
def _international(written: str) -> float:
    """A plus sign says enough for a number of a possible length, be its area code known or not."""
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return 0.0
    if phonenumbers.is_valid_number(number):
        return 0.9
    return 0.7 if phonenumbers.is_possible_number(number) else 0.0


@lru_cache(maxsize=4096)
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


@lru_cache(maxsize=4096)
def _valid_in(written: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False


def _long_enough(layout: tuple[str, ...]) -> tuple[str, ...]:
    """`layout` for as many digits as a number needs that no words tell of; empty where it cannot have them."""
    *first, last = layout
    needed = _LEAST_UNTOLD - sum(map(most_digits, first))
    if not first or most_digits(last) < needed:
        return ()
    return (*first, rf"\d{{{needed},}}" if needed > 1 and _VARYING.fullmatch(last) else last)


def _in_bytes(layout: tuple[str, ...]) -> str:
    return rf"{_LEFT}{f'{_GAP}+'.join(layout)}(?:\W|[xe])"
