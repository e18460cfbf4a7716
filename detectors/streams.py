"""Streams of numbers: a warm-up that teaches what is normal, then ADWIN or Page-Hinkley on the robust z-scores.

After a detection ADWIN goes on at once with an empty window and the old scale; Page-Hinkley begins with a new warm-up.
For yes-or-no streams see `detectors.proportion`, for river's own detectors `detectors.river`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, cast

from detectors.adwin import Adwin, AdwinSettings
from detectors.errors import BadInput
from detectors.normalise import Normaliser, NormaliserSettings
from detectors.page_hinkley import PageHinkley, PageHinkleySettings
from detectors.protocols import JSON, Detection, NumericDetector, Snapshot
from detectors.state import Reader, header

VERSION = 1
Phase: TypeAlias = Literal["warming up", "watching"]


@dataclass(frozen=True, slots=True)
class AdwinStreamSettings:
    """A stream watched by ADWIN."""

    normaliser: NormaliserSettings = field(default_factory=NormaliserSettings)
    adwin: AdwinSettings = field(default_factory=AdwinSettings)


@dataclass(frozen=True, slots=True)
class PageHinkleyStreamSettings:
    """A stream watched by Page-Hinkley."""

    normaliser: NormaliserSettings = field(default_factory=NormaliserSettings)
    test: PageHinkleySettings = field(default_factory=PageHinkleySettings)


class WarmUp:
    """The beginning of a stream, until it has taught what is normal."""

    def __init__(self, settings: NormaliserSettings) -> None:
        """Start afresh."""
        self._settings = settings
        self.values: list[float] = []
        self.normaliser: Normaliser | None = None

    def score(self, x: float) -> float | None:
        """The z-score of a value; None while warming up."""
        if not math.isfinite(x):
            raise BadInput(f"value {x!r}", "stream", "must be finite; leave such values out")
        if self.normaliser is not None:
            return self.normaliser.apply(x)
        self.values.append(x)
        if len(self.values) == self._settings.warm_up:
            self.normaliser = Normaliser.learn(self._settings, self.values)
            self.values = []
        return None

    def fields(self) -> Snapshot:
        """What a snapshot keeps of it."""
        learnt = self.normaliser
        return {
            "warm_up": cast("list[JSON]", list(self.values)),
            "normal": [learnt.centre, learnt.spread, learnt.remainder] if learnt else None,
        }

    @classmethod
    def from_fields(cls, settings: NormaliserSettings, reader: Reader) -> Self:
        """Continue from `fields`."""
        made = cls(settings)
        made.values = reader.numbers("warm_up")
        if reader.has("normal"):
            normal = reader.numbers("normal")
            if len(normal) != 3 or min(normal[1:]) <= 0.0:
                raise reader.refuse(f"normal is {normal!r}")
            made.normaliser = Normaliser(settings, *normal)
        return made


class AdwinStream:
    """Finds changes of level of either direction and any size, small ones late; false alarms are practically none."""

    NAME = "adwin"

    def __init__(self, settings: AdwinStreamSettings | None = None) -> None:
        """Start warming up."""
        self.settings = settings or AdwinStreamSettings()
        self._warm = WarmUp(self.settings.normaliser)
        self._adwin = Adwin(self.settings.adwin)
        self._seen = 0

    @property
    def phase(self) -> Phase:
        """Where in its life the detector is."""
        return "watching" if self._warm.normaliser else "warming up"

    def update(self, x: float, at: float) -> Detection | None:
        """Take a value; see `NumericDetector`."""
        z = self._warm.score(x)
        self._seen += 1
        normal = self._warm.normaliser
        cut = self._adwin.update(z) if z is not None else None
        if cut is None or normal is None:
            return None
        found = Detection(
            detector=self.NAME,
            index=0,
            seen=self._seen,
            statistic=abs(cut.before - cut.after),
            threshold=cut.bound,
            window=self._adwin.width,
            before=normal.undo(cut.before),
            after=normal.undo(cut.after),
            at=at,
        )
        # What is left of the old level in the window would show the same change a second time.
        self._adwin = Adwin(self.settings.adwin)
        return found

    def rebase(self) -> None:
        """Take what comes next as the new normal."""
        self._warm = WarmUp(self.settings.normaliser)
        self._adwin = Adwin(self.settings.adwin)

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        rows = cast("list[JSON]", self._adwin.numbers())
        return header(self.NAME, VERSION, self.settings) | self._warm.fields() | {"seen": self._seen, "adwin": rows}

    @classmethod
    def from_snapshot(cls, settings: AdwinStreamSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(cls.NAME, VERSION, settings, state)
        made = cls(settings)
        made._seen = reader.integer("seen")
        made._warm = WarmUp.from_fields(settings.normaliser, reader)
        try:
            made._adwin = Adwin.from_numbers(settings.adwin, reader.rows("adwin", 3))
        except ValueError as error:
            raise reader.refuse(f"adwin is damaged ({error})") from error
        return made


class PageHinkleyStream:
    """Finds lasting shifts of level quickly, with false alarms about as far apart as asked for."""

    NAME = "page-hinkley"

    def __init__(self, settings: PageHinkleyStreamSettings | None = None) -> None:
        """Start warming up."""
        self.settings = settings or PageHinkleyStreamSettings()
        self._seen = 0
        self.rebase()

    @property
    def phase(self) -> Phase:
        """Where in its life the detector is."""
        return "watching" if self._warm.normaliser else "warming up"

    def update(self, x: float, at: float) -> Detection | None:
        """Take a value; see `NumericDetector`."""
        z = self._warm.score(x)
        self._seen += 1
        normal = self._warm.normaliser
        if z is None or normal is None or not self._test.update(z):
            return None
        found = Detection(
            detector=self.NAME,
            index=0,
            seen=self._seen,
            statistic=self._test.statistic,
            threshold=self._test.threshold,
            window=self._test.count,
            before=normal.undo(0.0),
            after=normal.undo(self._test.recent),
            at=at,
        )
        self.rebase()
        return found

    def rebase(self) -> None:
        """Take what comes next as the new normal."""
        self._warm = WarmUp(self.settings.normaliser)
        self._test = PageHinkley(self.settings.test, self.settings.normaliser.spread_error)

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        sums = cast("list[JSON]", self._test.numbers())
        return header(self.NAME, VERSION, self.settings) | self._warm.fields() | {"seen": self._seen, "sums": sums}

    @classmethod
    def from_snapshot(cls, settings: PageHinkleyStreamSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(cls.NAME, VERSION, settings, state)
        made = cls(settings)
        made._seen = reader.integer("seen")
        made._warm = WarmUp.from_fields(settings.normaliser, reader)
        try:
            made._test = PageHinkley.from_numbers(
                settings.test, reader.numbers("sums"), settings.normaliser.spread_error
            )
        except ValueError as error:
            raise reader.refuse(f"sums is damaged ({error})") from error
        return made


if TYPE_CHECKING:
    _all: tuple[NumericDetector, ...] = (AdwinStream(), PageHinkleyStream())
