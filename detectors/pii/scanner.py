"""The scanner: prefilter, recognisers with their validators, overlap rule.

Texts one by one go to `scan`. Where most of many texts hold nothing, `suspects` looks at the JSON of all of them at
once, and only what it points at goes to `scan_with`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import phonenumbers

from detectors.errors import BadSetting
from detectors.pii.card import CardRecogniser
from detectors.pii.email import EmailRecogniser
from detectors.pii.iban import IbanRecogniser
from detectors.pii.ip import IpRecogniser
from detectors.pii.mask import mask, mask_all
from detectors.pii.overlap import resolve
from detectors.pii.phone import PhoneRecogniser
from detectors.pii.prefilter import MakePrefilter, fastest_prefilter
from detectors.pii.recogniser import Recogniser
from detectors.pii.secrets import SecretRecogniser
from detectors.pii.spans import ENTITY_TYPES, EntityType, Span
from detectors.pii.ssn import SsnRecogniser

if TYPE_CHECKING:
    from detectors.protocols import PiiScanner

_to_json = msgspec.json.Encoder().encode
# Up to so many characters, to ask every recogniser costs no more than the prefilter.
_SHORT = 64


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """What to look for.

    Attributes:
        entity_types: which findings are wanted.
        phone_regions: ISO 3166 codes of the countries whose national telephone numbers are recognised.
        min_score: findings below it are dropped.
    """

    entity_types: tuple[EntityType, ...] = ENTITY_TYPES
    phone_regions: tuple[str, ...] = ("US", "GB", "DE", "FR", "IN", "BR")
    min_score: float = 0.5

    def __post_init__(self) -> None:
        """Raise `BadSetting` for names nobody knows."""
        for name in self.entity_types:
            if name not in ENTITY_TYPES:
                raise BadSetting("entity_types", name, f"must be of {', '.join(ENTITY_TYPES)}")
        for region in self.phone_regions:
            if region not in phonenumbers.SUPPORTED_REGIONS:
                raise BadSetting("phone_regions", region, "must be an ISO 3166 code such as 'US'")
        if not 0.0 <= self.min_score <= 1.0:
            raise BadSetting("min_score", self.min_score, "must be from 0 to 1")


class Scanner:
    """Finds personal data and secrets; holds no state between texts and may be shared by threads.

    >>> scanner = Scanner()
    >>> scanner.scan("write to ann@example.com")
    (Span(entity_type='EMAIL_ADDRESS', start=9, end=24, score=1.0),)
    >>> scanner.mask_all(["write to ann@example.com"])
    ['write to <EMAIL_ADDRESS>']
    """

    def __init__(self, settings: ScannerSettings | None = None, prefilter: MakePrefilter = fastest_prefilter) -> None:
        """Look for everything known unless told otherwise. Whatever the prefilter, the findings are the same."""
        self.settings = settings or ScannerSettings()
        self._wanted = frozenset(self.settings.entity_types)
        # The numbers of a hundred countries need more patterns than `re` remembers; each it forgot costs milliseconds.
        phonenumbers.enable_pattern_cache()
        everyone: tuple[Recogniser, ...] = (
            EmailRecogniser(),
            CardRecogniser(),
            IbanRecogniser(),
            SsnRecogniser(),
            IpRecogniser(),
            SecretRecogniser(),
            PhoneRecogniser(self.settings.phone_regions),
        )
        self._recognisers = [each for each in everyone if not self._wanted.isdisjoint(each.entity_types)]
        self._everything = (1 << len(self._recognisers)) - 1
        # What to run for each value that `suspects` can give, and how long a text must be to be worth it.
        hinted = (
            [each for bit, each in enumerate(self._recognisers) if hints >> bit & 1]
            for hints in range(self._everything + 1)
        )
        self._hinted = tuple((min((each.shortest for each in some), default=0), some) for some in hinted)
        self._prefilter = prefilter(self._recognisers)

    def suspects(self, blobs: Sequence[bytes]) -> list[int]:
        """What may be found in JSON documents, as hints for `scan_with`; see `PiiScanner`."""
        return self._prefilter.suspects(blobs)

    def scan(self, text: str) -> tuple[Span, ...]:
        """What is in `text`; see `PiiScanner`."""
        return self.scan_all((text,))[0] if len(text) > _SHORT else self.scan_with(text, self._everything)

    def scan_all(self, texts: Sequence[str]) -> list[tuple[Span, ...]]:
        """`scan` for each text, in order."""
        try:
            hints = self.suspects([_to_json(text) for text in texts])
        except UnicodeEncodeError:
            # Half a surrogate pair has no UTF-8.
            hints = [self._everything] * len(texts)
        return list(map(self.scan_with, texts, hints))

    def scan_with(self, text: str, hints: int) -> tuple[Span, ...]:
        """`scan` by those recognisers alone that `hints` names; see `PiiScanner`."""
        shortest, recognisers = self._hinted[hints]
        # Nothing is found without a digit or a punctuation mark; most names and many values are words.
        if len(text) < shortest or text.isalpha():
            return ()
        found: list[Span] = []
        for recogniser in recognisers:
            # A look at a short text costs less than to begin a search; a long one is not worth reading twice.
            if len(text) > _SHORT or recogniser.possible(text):
                found += recogniser.find(text)
        if not found:
            return ()
        return resolve(s for s in found if s.score >= self.settings.min_score and s.entity_type in self._wanted)

    def mask(self, text: str) -> str:
        """`text` with everything found replaced by its type."""
        return mask(text, self.scan(text))

    def mask_all(self, texts: Sequence[str]) -> list[str]:
        """`mask` for each text, in order."""
        return mask_all(texts, self.scan_all(texts))


if TYPE_CHECKING:
    _: PiiScanner = Scanner()
