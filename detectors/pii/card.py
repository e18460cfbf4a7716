"""Payment cards: a known issuer's prefix and length (ISO/IEC 7812), and Luhn's check digit."""

from __future__ import annotations

from collections.abc import Iterator

from stdnum import luhn

from detectors.pii import wire
from detectors.pii.recogniser import Signs, in_two_ways, words_before
from detectors.pii.spans import EntityType, Span

# One candidate is 12 to 19 digits, alone or in groups with the same separator throughout; not a part of a longer
# number, word, decimal fraction or UUID.
_CANDIDATE = in_two_ways(
    r"\d(?<![\w-]\d)(?<!\d[.,]\d)(?:\d{11,18}|\d{2,5}([ -])\d{3,6}(?:\1\d{2,7}){0,4})(?![\w-]|[.,]\d)"
)
_CONTEXT = frozenset(
    {"card", "cards", "creditcard", "cc", "visa", "mastercard", "maestro", "amex", "jcb", "discover", "diners"}
)
_REACH = 40
_MAESTRO = ("5018", "5020", "5038", "5893", "6304", "6759", "6761", "6762", "6763")
# Twelve digits that begin as those may that `_issued` asks for.
_BEGINNING = r"(?:[3456]\d|18|2[1-7])\d(?:[ \-]?\d){9}"


class CardRecogniser:
    """Finds payment card numbers."""

    entity_types: frozenset[EntityType] = frozenset({"CREDIT_CARD"})
    needs_digit = True
    shortest = 12

    def signs(self) -> Signs:
        """Twelve digits that begin as an issuer's do, or after a word such as "card"."""
        left = rf"(?:[^\w.\-]|[^0-9]\.|{wire.ESCAPE})"
        said = wire.after_words(_CONTEXT, _REACH, wire.after(r"\w\-") + r"\d(?:[ \-]?\d){11}")
        return Signs(
            coarse=(wire.NUMBER, *wire.WRITTEN_NUMBER),
            fine=(left + _BEGINNING, *said, wire.WRITTEN_NUMBER[1]),
        )

    def possible(self, text: str) -> bool:
        """Whether there is a number of such a shape."""
        return _CANDIDATE[text.isascii()].search(text) is not None

    def find(self, text: str) -> Iterator[Span]:
        """Numbers whose check digit agrees, with an issuer's prefix and length or a word such as "card" before them."""
        for match in _CANDIDATE[text.isascii()].finditer(text):
            digits = match.group().replace(" ", "").replace("-", "")
            if not 12 <= len(digits) <= 19 or not luhn.is_valid(digits):
                continue
            if _issued(digits):
                yield Span("CREDIT_CARD", match.start(), match.end(), 1.0)
            elif not _CONTEXT.isdisjoint(words_before(text, match.start(), _REACH)):
                yield Span("CREDIT_CARD", match.start(), match.end(), 0.9)


def _issued(digits: str) -> bool:
    """Whether some issuer has numbers with this beginning and length."""
    length = len(digits)
    two, three, four = int(digits[:2]), int(digits[:3]), int(digits[:4])
    if digits[0] == "4":
        return length in (13, 16, 19)
    if two in (34, 37):
        return length == 15
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if digits.startswith(_MAESTRO):
        return True
    if 300 <= three <= 305 or three == 309 or two in (36, 38, 39):
        return length in (14, 16)
    if 3528 <= four <= 3589 or two in (62, 65) or 644 <= three <= 649 or four == 6011:
        return length >= 16
    return four in (1800, 2131) and length == 15
