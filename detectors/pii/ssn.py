"""US social security numbers, by the rules of the Social Security Administration for what is never issued."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum.us import ssn

from detectors.pii.recogniser import words_before
from detectors.pii.spans import EntityType, Span

_CANDIDATE = re.compile(r"\d(?<![\w-]\d)(?<!\d[ .,]\d)\d{2}([- ]?)\d{2}\1\d{4}(?![\w-]|[ .,]\d)")
_CONTEXT = frozenset({"ssn", "social", "security", "tin", "itin"})


class SsnRecogniser:
    """Finds social security numbers; without hyphens only where the words before say so."""

    entity_types: frozenset[EntityType] = frozenset({"US_SSN"})
    needs_digit = True

    def possible(self, text: str) -> bool:
        """Whether there is a number of such a shape."""
        return _CANDIDATE.search(text) is not None

    def find(self, text: str) -> Iterator[Span]:
        """Numbers that can have been issued."""
        for match in _CANDIDATE.finditer(text):
            digits = match.group().replace("-", "").replace(" ", "")
            if not ssn.is_valid(digits):
                continue
            told = not _CONTEXT.isdisjoint(words_before(text, match.start(), 48))
            if told or match.group(1) == "-":
                yield Span("US_SSN", match.start(), match.end(), 0.95 if told else 0.85)
