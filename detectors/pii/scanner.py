"""The scanner: prefilter, recognisers with their validators, overlap rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import phonenumbers

from detectors.errors import BadSetting
from detectors.pii.card import CardRecogniser
from detectors.pii.email import EmailRecogniser
from detectors.pii.iban import IbanRecogniser
from detectors.pii.ip import IpRecogniser
from detectors.pii.mask import mask, mask_all
from detectors.pii.overlap import resolve
from detectors.pii.phone import PhoneRecogniser
from detectors.pii.prefilter import worth_running
from detectors.pii.recogniser import Recogniser
from detectors.pii.secrets import SecretRecogniser
from detectors.pii.spans import ENTITY_TYPES, EntityType, Span
from detectors.pii.ssn import SsnRecogniser

if TYPE_CHECKING:
    from detectors.protocols import PiiScanner


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

    def __init__(self, settings: ScannerSettings | None = None) -> None:
        """Look for everything known unless told otherwise."""
        self.settings = settings or ScannerSettings()
        self._wanted = frozenset(self.settings.entity_types)
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

    def scan(self, text: str) -> tuple[Span, ...]:
        """What is in `text`; see `PiiScanner`."""
        worthwhile = worth_running(self._recognisers, text)
        if not worthwhile:
            return ()
        found = [span for recogniser in worthwhile for span in recogniser.find(text)]
        return resolve(s for s in found if s.score >= self.settings.min_score and s.entity_type in self._wanted)

    def scan_all(self, texts: Sequence[str]) -> list[tuple[Span, ...]]:
        """`scan` for each text, in order."""
        return [self.scan(text) for text in texts]

    def mask(self, text: str) -> str:
        """`text` with everything found replaced by its type."""
        return mask(text, self.scan(text))

    def mask_all(self, texts: Sequence[str]) -> list[str]:
        """`mask` for each text, in order."""
        return mask_all(texts, self.scan_all(texts))


if TYPE_CHECKING:
    _: PiiScanner = Scanner()
