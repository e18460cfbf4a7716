"""alibi-detect's online Cramér-von Mises detector behind our protocol: a second opinion, and a reference for tests.

Optional, and never the default: alibi-detect is under the Business Source License 1.1, so that production use needs a
commercial licence from its owner. It is imported only when a detector of this module is made.

The detector (G. Ross and N. Adams, "Two nonparametric control charts for detecting arbitrary distribution changes",
Journal of Quality Technology 44, 2012) judges single features, so embeddings are first projected on the reference's
leading principal components. Of itself alibi-detect keeps every observation for ever; here it keeps one window.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from detectors.errors import BadInput, BadSetting, MissingBackend
from detectors.protocols import Detection, EmbeddingDetector, Snapshot, Vectors
from detectors.state import Reader, header, pack

NAME = "alibi-cvm"
VERSION = 1
EXTRA = "inferwatch-platform[alibi]"
LICENCE = "It is under the Business Source License 1.1: production use needs a commercial licence from its owner."


@dataclass(frozen=True, slots=True)
class AlibiDriftSettings:
    """How alibi-detect watches.

    Attributes:
        dimensions: length of every embedding.
        reference: how many embeddings, the first ones, are taken as normal.
        window: how many recent embeddings are compared with them.
        components: principal components that are watched.
        expected_run_length: events between false alarms, on average, if the components were independent.
        simulations: streams simulated to find the thresholds; ten times the run length or more.
        seed: of those simulations.
    """

    dimensions: int
    reference: int = 500
    window: int = 30
    components: int = 8
    expected_run_length: int = 2000
    simulations: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `BadSetting` for values that cannot work."""
        if self.window < 2:
            raise BadSetting("window", self.window, "at least 2")
        if self.reference < 2 * self.window:
            raise BadSetting("reference", self.reference, f"at least twice the window, {2 * self.window}")
        if not 1 <= self.components <= min(self.dimensions, self.reference):
            raise BadSetting("components", self.components, "from 1 to the smaller of dimensions and reference")
        if self.expected_run_length < 2 * self.window:
            raise BadSetting("expected_run_length", self.expected_run_length, "at least twice the window")
        if self.simulations < self.expected_run_length:
            raise BadSetting("simulations", self.simulations, "at least the expected run length")


class AlibiDrift:
    """Collects a reference, then watches; in drift it is silent until a whole window is normal again."""

    def __init__(self, settings: AlibiDriftSettings) -> None:
        """Start collecting. Raises `MissingBackend` at once if alibi-detect is not installed."""
        self._backend = _load()
        self.settings = settings
        self._seen = 0
        self.rebase()

    def rebase(self) -> None:
        """Take what comes next as the new normal."""
        self._collected: Vectors = np.empty((0, self.settings.dimensions), np.float32)
        self._detector: Any = None
        self._axes: Vectors | None = None
        self.in_drift = False
        self._below = 0

    def update(self, batch: Vectors) -> list[Detection]:
        """Take float32 [n, d] in order of arrival; see `EmbeddingDetector`."""
        batch = np.asarray(batch, np.float32)
        if batch.ndim != 2 or batch.shape[1] != self.settings.dimensions:
            raise BadInput(f"shape {batch.shape}", "batch", f"must be [n, {self.settings.dimensions}]")
        if not np.isfinite(batch).all():
            raise BadInput("a component that is not finite", "batch", "leave such embeddings out")
        start = 0
        if self._axes is None:
            start = min(len(batch), self.settings.reference - len(self._collected))
            self._collected = np.concatenate([self._collected, batch[:start]])
            if len(self._collected) == self.settings.reference:
                self._calibrate()
        found = [self._step(row, index) for index, row in enumerate(batch[start:], start=start)]
        self._seen += len(batch)
        return [each for each in found if each is not None]

    def _calibrate(self) -> None:
        centred = self._collected - self._collected.mean(axis=0)
        self._axes = np.linalg.svd(centred, full_matrices=False)[2][: self.settings.components].T.copy()
        # alibi-detect draws from numpy's global state; leave that as it was found.
        outside = np.random.get_state()
        np.random.seed(self.settings.seed)
        try:
            self._detector = self._make(self._backend.CVMDriftOnline, self._collected @ self._axes)
        finally:
            np.random.set_state(outside)
        self._collected = self._collected[:0]

    def _make(self, make: Callable[..., Any], reference: Vectors) -> Any:
        return make(
            reference.astype(np.float64),
            ert=float(self.settings.expected_run_length),
            window_sizes=[self.settings.window],
            n_bootstraps=self.settings.simulations,
            verbose=False,
        )

    def _step(self, row: Vectors, index: int) -> Detection | None:
        assert self._axes is not None
        statistics = self._score((row @ self._axes).astype(np.float64))
        if self._detector.t < self.settings.window:
            return None
        statistic = float(np.max(statistics))
        threshold = float(np.max(self._detector.get_threshold(self._detector.t)))
        if statistic <= threshold:
            self._below += 1
            self.in_drift = self.in_drift and self._below < self.settings.window
            return None
        self._below = 0
        if self.in_drift:
            return None
        self.in_drift = True
        return Detection(
            detector=NAME,
            index=index,
            seen=self._seen + index + 1,
            statistic=statistic,
            threshold=threshold,
            window=self.settings.window,
        )

    def _score(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self._detector.score(point)
        self._detector.xs = self._detector.xs[-self.settings.window :]
        return scores

    def snapshot(self) -> Snapshot:
        """The whole state as plain JSON values."""
        state = header(NAME, VERSION, self.settings) | {
            "seen": self._seen,
            "in_drift": self.in_drift,
            "below": self._below,
            "collected": pack(self._collected),
        }
        if self._axes is None:
            return state
        recent = self._detector.xs if self._detector.t else np.empty((0, self.settings.components))
        return state | {
            "axes": pack(self._axes),
            "reference": pack(cast("NDArray[np.float64]", self._detector.x_ref)),
            "thresholds": pack(np.nan_to_num(self._detector.thresholds)),
            "recent": pack(recent),
            "t": int(self._detector.t),
        }

    @classmethod
    def from_snapshot(cls, settings: AlibiDriftSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(NAME, VERSION, settings, state)
        made = cls(settings)
        made._seen, made._below = reader.integer("seen"), reader.integer("below")
        made.in_drift = reader.flag("in_drift")
        made._collected = reader.array("collected", "<f4", settings.dimensions)
        if not reader.has("axes"):
            return made
        made._axes = reader.array("axes", "<f4", settings.components)
        # The constructor simulates; the thresholds found before take the place of that.
        known = {"_configure_thresholds": lambda detector: None, "thresholds": reader.array("thresholds", "<f8", 1)}
        calibrated = type("CVMDriftOnline", (made._backend.CVMDriftOnline,), known)
        made._detector = made._make(calibrated, reader.array("reference", "<f8", settings.components))
        for point in reader.array("recent", "<f8", settings.components):
            made._score(point)
        made._detector.t = reader.integer("t")
        return made


def _load() -> Any:
    try:
        return importlib.import_module("alibi_detect.cd")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "alibi_detect":
            raise MissingBackend("alibi-detect", EXTRA, LICENCE) from error
        raise


if TYPE_CHECKING:

    def _conforms(detector: AlibiDrift) -> EmbeddingDetector:
        return detector
