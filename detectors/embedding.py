"""Drift of embeddings: the life of a kernel two-sample detector, from collecting a reference to a confirmed detection.

    collecting ──N embeddings──► watching ──level above 1, permutation test agrees──► in drift
        ▲                           ▲                                                               │  │
        │                           └────────────── a whole window below the threshold ─────────────┘  │
        └──────────────────────────────────── rebase() ────────────────────────────────────────────────┘

The statistic is the squared MMD between the reference and the last W embeddings, through random Fourier features, as in
N. Keriven, D. Garreau and I. Poli, "NEWMA: a new method for scalable model-free online change-point detection", IEEE
Transactions on Signal Processing 68, 2020, with a flat window in place of two exponential ones. See `detectors.mmd` for
the parts and the papers they follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np

from detectors.errors import BadInput
from detectors.mmd.settings import NAME, VERSION, EmbeddingDriftSettings
from detectors.mmd.watch import Watch
from detectors.protocols import Detection, EmbeddingDetector, Snapshot, Vectors
from detectors.state import Reader, header, pack

__all__ = ["EmbeddingDrift", "EmbeddingDriftSettings", "Phase"]

Phase: TypeAlias = Literal["collecting", "watching", "in drift"]


class EmbeddingDrift:
    """Watches one stream of embeddings for a change of their distribution; see the module for its life."""

    def __init__(self, settings: EmbeddingDriftSettings) -> None:
        """Start collecting a reference."""
        self.settings = settings
        self._seen = 0
        self._watch: Watch | None = None
        self._collected: list[Vectors] = []

    @property
    def phase(self) -> Phase:
        """Where in its life the detector is."""
        if self._watch is None:
            return "collecting"
        return "in drift" if self._watch.in_drift else "watching"

    @property
    def collected(self) -> int:
        """How many embeddings the reference has."""
        return self.settings.reference if self._watch else sum(map(len, self._collected))

    @property
    def level(self) -> float:
        """The largest statistic over its threshold: above 1 it would be tested. 0 before there is one."""
        return self._watch.level if self._watch else 0.0

    def update(self, batch: Vectors) -> list[Detection]:
        """Take float32 [n, d] in order of arrival; see `EmbeddingDetector`."""
        batch = self._checked(batch)
        start = 0
        if self._watch is None:
            start = min(len(batch), self.settings.reference - self.collected)
            self._collected.append(batch[:start].copy())
            if self.collected == self.settings.reference:
                self._watch = Watch.calibrated(self.settings, np.concatenate(self._collected))
                self._collected = []
        found = self._watch.update(batch[start:], start, self._seen) if self._watch and start < len(batch) else []
        self._seen += len(batch)
        return found

    def rebase(self) -> None:
        """Take what comes next as the new normal: forget the reference and collect another."""
        self._watch = None
        self._collected = []

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        state = header(NAME, VERSION, self.settings)
        state["seen"] = self._seen
        if self._watch is None:
            empty = np.empty((0, self.settings.dimensions), np.float32)
            state["collected"] = pack(np.concatenate([empty, *self._collected]))
        else:
            state["watch"] = self._watch.snapshot()
        return state

    @classmethod
    def from_snapshot(cls, settings: EmbeddingDriftSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(NAME, VERSION, settings, state)
        made = cls(settings)
        made._seen = reader.integer("seen")
        if reader.has("watch"):
            made._watch = Watch.from_snapshot(settings, reader.child("watch"))
        else:
            made._collected = [reader.array("collected", "<f4", settings.dimensions)]
            if made.collected >= settings.reference:
                raise reader.refuse("it collects a reference that is already complete")
        return made

    def _checked(self, batch: Vectors) -> Vectors:
        batch = np.asarray(batch, np.float32)
        if batch.ndim != 2 or batch.shape[1] != self.settings.dimensions:
            raise BadInput(f"shape {batch.shape}", "batch", f"must be [n, {self.settings.dimensions}]")
        wrong = np.flatnonzero(~np.isfinite(batch).all(axis=1))
        if wrong.size:
            raise BadInput("a component that is not finite", f"rows {wrong[:10].tolist()}", "leave such embeddings out")
        return batch


if TYPE_CHECKING:
    _: EmbeddingDetector = EmbeddingDrift(EmbeddingDriftSettings(dimensions=1))
