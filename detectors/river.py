"""Any drift detector of river behind our protocol, restored by replay.

river keeps ADWIN's state inside a compiled object that can be neither read nor pickled, and its pickles do not survive
versions. So the values themselves are kept: the detector's state is always what it becomes when fed the kept values
from the start. After `memory` values the oldest half is let go and the detector is fed the rest afresh, which bounds
memory; what it knew beyond that is forgotten, also by a detector that was never stopped, and so both agree.

For watching, prefer `detectors.streams`; this is for river's other detectors (KSWIN, HDDM and so on).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, cast

from detectors.errors import BadInput, BadSetting
from detectors.protocols import JSON, Detection, Snapshot
from detectors.state import Reader, header

if TYPE_CHECKING:
    from detectors.protocols import NumericDetector

NAME = "river"
VERSION = 1


class RiverDetector(Protocol):
    """What is used of `river.base.DriftDetector`."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last value revealed a change."""

    def update(self, x: float) -> object:
        """Take a value."""


@dataclass(frozen=True, slots=True)
class RiverSettings:
    """Which detector, and how much it may remember.

    Attributes:
        name: what detections are called, e.g. ``"river-kswin"``; change it when the parameters change.
        memory: values kept for replay.
    """

    name: str
    memory: int = 2000

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if self.memory < 2:
            raise BadSetting("memory", self.memory, "at least 2")


class RiverStream:
    """Watches one stream with a detector made by `make`, e.g. ``lambda: river.drift.KSWIN(seed=1)``.

    The detector must be deterministic: give those that draw at random a seed.
    """

    def __init__(self, settings: RiverSettings, make: Callable[[], RiverDetector]) -> None:
        """Start with a fresh detector."""
        self.settings = settings
        self._make = make
        self._detector = make()
        self._values: list[float] = []
        self._seen = 0

    def update(self, x: float, at: float) -> Detection | None:
        """Take a value; see `NumericDetector`."""
        if not math.isfinite(x):
            raise BadInput(f"value {x!r}", "stream", "must be finite; leave such values out")
        if len(self._values) >= self.settings.memory:
            self._replay(self._values[-(self.settings.memory // 2) :])
        self._seen += 1
        self._values.append(x)
        self._detector.update(x)
        if not self._detector.drift_detected:
            return None
        found = Detection(self.settings.name, 0, self._seen, 1.0, 0.0, len(self._values), at=at)
        self._replay([])
        return found

    def _replay(self, values: list[float]) -> None:
        self._detector = self._make()
        self._values = values
        for x in values:
            self._detector.update(x)

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        values = cast("list[JSON]", list(self._values))
        return header(NAME, VERSION, self.settings) | {"seen": self._seen, "values": values}

    @classmethod
    def from_snapshot(cls, settings: RiverSettings, make: Callable[[], RiverDetector], state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(NAME, VERSION, settings, state)
        made = cls(settings, make)
        made._seen = reader.integer("seen")
        made._replay(reader.numbers("values"))
        return made


if TYPE_CHECKING:

    def _conforms(stream: RiverStream) -> NumericDetector:
        return stream
