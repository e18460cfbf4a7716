"""US social security numbers, by the rules of the Social Security Administration for what is never issued."""

from __future__ import annotations

from collections.abc import Iterator

from stdnum.us import ssn

from detectors.pii import wire
from detectors.pii.recogniser import Signs, in_two_ways, words_before
from detectors.pii.spans import EntityType, Span

_CANDIDATE = in_two_ways(r"\d(?<![\w-]\d)(?<!\d[ .,]\d)\d{2}([- ]?)\d{2}\1\d{4}(?![\w-]|[ .,]\d)")
_CONTEXT = frozenset({"ssn", "social", "security", "tin", "itin"})
_REACH = 48


class SsnRecogniser:
    """Finds social security numbers; without hyphens only where the words before say so."""

    entity_types: frozenset[EntityType] = frozenset({"US_SSN"})
    needs_digit = True
    shortest = 9

    def signs(self) -> Signs:
        """Nine digits with hyphens, or after a word such as "ssn"."""
        left = wire.after(r"\w\-")
        told = wire.after_words(_CONTEXT, _REACH, left + r"\d{3} ?\d\d ?\d{4}[^\w\-]")
        return Signs(coarse=(wire.NUMBER,), fine=(left + r"\d{3}-\d\d-\d{4}[^\w\-]", *told))

    def possible(self, text: str) -> bool:
        """Whether there is a number of such a shape."""
        return _CANDIDATE[text.isascii()].search(text) is not None

    def find(self, text: str) -> Iterator[Span]:
        """Numbers that can have been issued."""
        for match in _CANDIDATE[text.isascii()].finditer(text):
            digits = match.group().replace("-", "").replace(" ", "")
            if not ssn.is_valid(digits):
                continue
            told = not _CONTEXT.isdisjoint(words_before(text, match.start(), _REACH))
            if told or match.group(1) == "-":
                yield Span("US_SSN", match.start(), match.end(), 0.95 if told else 0.85)
