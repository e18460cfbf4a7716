"""The contract of one recogniser family, and what several families share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from detectors.pii.spans import EntityType, Span


@dataclass(frozen=True, slots=True)
class Signs:
    """What a family's findings look like in JSON, as patterns over bytes; `wire` has the pieces to make them of.

    Attributes:
        coarse: wherever `find` finds something in a string of the JSON, one of these matches there too.
        fine: and one of these or of `doubtful`, near the end of the coarse match; both are empty where the coarse ones
            are fine enough.
        doubtful: like `fine`, but what ends together with a match of `harmless` does not count.
        harmless: where `find` finds nothing; may end up to `wire.TOGETHER` bytes later than the doubtful match.
    """

    coarse: tuple[str, ...]
    fine: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()


class Recogniser(Protocol):
    """Finds one family of things.

    All methods take time linear in the text, whatever it holds: every repetition in a pattern is bounded, or can start
    at one place only in a run of the characters it repeats.
    """

    @property
    def entity_types(self) -> frozenset[EntityType]:
        """What it may find."""

    @property
    def needs_digit(self) -> bool:
        """Whether a text without any digit cannot hold one."""

    @property
    def shortest(self) -> int:
        """How many characters a text must have to hold one."""

    def signs(self) -> Signs:
        """What its findings look like in JSON."""

    def possible(self, text: str) -> bool:
        """A cheap look: False only if `find` would find nothing."""

    def find(self, text: str) -> Iterator[Span]:
        """Candidates that passed validation; they may overlap those of other recognisers."""


def in_two_ways(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""`pattern` for any text and for ASCII texts, where it means the same and is searched for in half the time.

    To be indexed with `text.isascii()`. In classes, ``\d`` must come first.
    """
    ascii_only = pattern.replace(r"[\d", "[0-9").replace(r"\d", "[0-9]").replace(r"\s", r"[\s\x1c-\x1f]")
    return re.compile(pattern, flags), re.compile(ascii_only, flags | re.ASCII)


_WORDS = re.compile(r"[^\W\d_]+")


def words_before(text: str, start: int, reach: int) -> list[str]:
    """The lower-cased words in the `reach` characters before `start`, the nearest first."""
    return _WORDS.findall(text[max(0, start - reach) : start].lower())[::-1]
