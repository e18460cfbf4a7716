"""The contracts that detectors, embedders and scanners keep; anything that keeps them can be swapped in.

Common to every detector:

* memory is bounded by its settings, not by how much it has seen;
* nothing is read from a clock: time comes in as an argument, in seconds since the epoch;
* `update` either uses all of its input or raises `BadInput` and changes nothing;
* `snapshot` returns plain JSON values with a ``version``; a detector made by `from_snapshot` with the same settings
  raises the same detections at the same events as one that was never stopped. Nothing is ever pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.pii.spans import Span

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Snapshot: TypeAlias = "dict[str, JSON]"
Vectors: TypeAlias = NDArray[np.float32]
S = TypeVar("S", contravariant=True)


@dataclass(frozen=True, slots=True)
class Detection:
    """A change that a detector stands by.

    Attributes:
        detector: which method found it, e.g. ``"adwin"``.
        index: position of the event in the batch given to `update`; 0 for single values.
        seen: how many events the detector had seen, this one included.
        statistic: the test statistic at that event.
        threshold: what the statistic had to exceed.
        window: how many recent events the statistic looks at.
        p_value: of the confirming test, where there is one.
        before: level before the change, in the stream's own units, where the method knows it.
        after: level since the change, in the stream's own units, where the method knows it.
        at: the time of the event, where `update` was told.
    """

    detector: str
    index: int
    seen: int
    statistic: float
    threshold: float
    window: int
    p_value: float | None = None
    before: float | None = None
    after: float | None = None
    at: float | None = None


class NumericDetector(Protocol):
    """Watches one stream of numbers, one at a time."""

    def update(self, x: float, at: float) -> Detection | None:
        """Take one finite value that happened `at`; return the change it reveals, if any.

        A change is reported once, at the event that reveals it. Raises `BadInput` when `x` is not finite.
        """

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""


class EmbeddingDetector(Protocol):
    """Watches one stream of embeddings, a batch at a time."""

    def update(self, batch: Vectors) -> list[Detection]:
        """Take a batch, float32 [n, d] in order of arrival; return the changes it reveals, in order.

        How a stream is cut into batches makes no difference beyond the rounding of single floats. Raises `BadInput`
        when the shape is wrong or a component is not finite.
        """

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""


class Restorable(Protocol[S]):
    """A detector class that can continue from a snapshot, given the settings it was taken with."""

    @classmethod
    def from_snapshot(cls, settings: S, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`, also when the settings have changed since."""


class PiiScanner(Protocol):
    """Finds personal data and secrets in texts."""

    def scan(self, text: str) -> tuple[Span, ...]:
        """What is in `text`, sorted by position, never overlapping; positions count characters of `text`."""

    def scan_all(self, texts: Sequence[str]) -> list[tuple[Span, ...]]:
        """`scan` for each text, in order."""

    def suspects(self, blobs: Sequence[bytes]) -> list[int]:
        """For each of some JSON documents, hints for `scan_with`: 0 where `scan` would find nothing.

        The documents are UTF-8. What counts are their strings, the names of members too, and whole numbers from 10^11
        on as `str(int(number))` writes them, each as a text of its own. Documents by the hundred cost least.
        """

    def scan_with(self, text: str, hints: int) -> tuple[Span, ...]:
        """`scan`, when `text` is one of those in a document for which `suspects` gave `hints`."""
