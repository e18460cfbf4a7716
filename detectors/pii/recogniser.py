"""The contract of one recogniser family, and what several families share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from detectors.pii.spans import EntityType, Span


class Recogniser(Protocol):
    """Finds one family of things.

    Both methods take time linear in the text, whatever it holds: every repetition in a pattern is bounded, or can start
    at one place only in a run of the characters it repeats.
    """

    @property
    def entity_types(self) -> frozenset[EntityType]:
        """What it may find."""

    @property
    def needs_digit(self) -> bool:
        """Whether a text without any digit cannot hold one."""

    def possible(self, text: str) -> bool:
        """A cheap look: False only if `find` would find nothing."""

    def find(self, text: str) -> Iterator[Span]:
        """Candidates that passed validation; they may overlap those of other recognisers."""


_WORDS = re.compile(r"[^\W\d_]+")


def words_before(text: str, start: int, reach: int) -> list[str]:
    """The lower-cased words in the `reach` characters before `start`, the nearest first."""
    return _WORDS.findall(text[max(0, start - reach) : start].lower())[::-1]
