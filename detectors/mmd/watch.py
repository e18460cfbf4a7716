"""Watching: every event's statistic against the threshold, the confirming test, and when a drift is over."""

from __future__ import annotations

from typing import Self

import numpy as np

from detectors.mmd.calibration import calibrate
from detectors.mmd.features import Features, FourierFeatures, median_bandwidth
from detectors.mmd.permutation import permutation_p_value
from detectors.mmd.settings import NAME, VERSION, EmbeddingDriftSettings
from detectors.mmd.window import MeanWindows
from detectors.protocols import Detection, Snapshot, Vectors
from detectors.state import Reader, header, pack


class Watch:
    """Compares sliding windows with a complete reference.

    Windows of different sizes have statistics of different sizes; what is compared is the level, a window's statistic
    over its own threshold. The window with the highest level speaks for all.
    """

    def __init__(
        self, settings: EmbeddingDriftSettings, reference: Features, bandwidth: float, thresholds: list[float]
    ) -> None:
        """Watch with thresholds that are already known."""
        self._settings = settings
        self._reference = reference
        self._bandwidth = bandwidth
        self._thresholds = np.array(thresholds)
        self._features = FourierFeatures(settings.dimensions, settings.features, bandwidth, settings.seed)
        self._windows = MeanWindows(reference, settings.windows)
        self.level = 0.0
        self.in_drift = False
        self._below = 0
        self._refuted = 0.0

    @classmethod
    def calibrated(cls, settings: EmbeddingDriftSettings, reference: Vectors) -> Self:
        """Find bandwidth and thresholds from the reference, float32 [N, d]."""
        bandwidth = median_bandwidth(reference)
        features = FourierFeatures(settings.dimensions, settings.features, bandwidth, settings.seed)(reference)
        rng = np.random.default_rng(settings.seed)
        # Rates add: with each of k windows k times as seldom, all together are as seldom as promised or seldomer.
        each = settings.expected_run_length * len(settings.windows)
        thresholds = [calibrate(features, window, each, rng) for window in settings.windows]
        return cls(settings, features, bandwidth, thresholds)

    def update(self, batch: Vectors, first: int, seen: int) -> list[Detection]:
        """Take embeddings; `first` is the first one's position in the caller's batch, which `seen` events precede."""
        features = self._features(batch)
        history = np.concatenate([self._windows.rows, features])
        offset = len(history) - len(features) + 1
        statistics = self._windows.extend(features)
        levels = statistics / self._thresholds
        found = []
        for place, (leader, level) in enumerate(zip(levels.argmax(axis=1), levels.max(axis=1).tolist(), strict=True)):
            size, end = self._settings.windows[leader], offset + place
            p_value = self._step(level, history[max(end - size, 0) : end], seen + first + place)
            if p_value is not None:
                found.append(
                    Detection(
                        detector=NAME,
                        index=first + place,
                        seen=seen + first + place + 1,
                        statistic=float(statistics[place, leader]),
                        threshold=float(self._thresholds[leader]),
                        window=size,
                        p_value=p_value,
                    )
                )
        return found

    def _step(self, level: float, window: Features, event: int) -> float | None:
        """Follow one event; the p-value if a detection is confirmed at it."""
        self.level = level
        if level <= 1.0:
            self._below += 1
            self._refuted = 0.0
            if self._below >= self._settings.windows[0]:
                self.in_drift = False
            return None
        self._below = 0
        # The test is run again only where the level has grown since the test last said no: it is not free.
        if self.in_drift or level <= self._refuted:
            return None
        rng = np.random.default_rng((self._settings.seed, event))
        p_value = permutation_p_value(self._reference, window, self._settings.permutations, rng)
        if p_value > self._settings.confirm_below:
            self._refuted = level
            return None
        self.in_drift = True
        return p_value

    def snapshot(self) -> Snapshot:
        """The state as plain JSON values."""
        return header(NAME, VERSION, self._settings) | {
            "reference": pack(self._reference),
            "bandwidth": self._bandwidth,
            "thresholds": self._thresholds.tolist(),
            "rows": pack(self._windows.rows),
            "level": self.level,
            "in_drift": self.in_drift,
            "below": self._below,
            "refuted": self._refuted,
        }

    @classmethod
    def from_snapshot(cls, settings: EmbeddingDriftSettings, state: Snapshot) -> Self:
        """Continue where `state` was taken. Raises `BadSnapshot`."""
        reader = Reader(NAME, VERSION, settings, state)
        reference = reader.array("reference", "<i2", settings.features)
        if len(reference) != settings.reference:
            raise reader.refuse(f"its reference has {len(reference)} rows, not {settings.reference}")
        thresholds = reader.numbers("thresholds")
        if len(thresholds) != len(settings.windows) or min(thresholds) <= 0.0:
            raise reader.refuse(f"thresholds is {thresholds!r}, not one above 0 for each window")
        made = cls(settings, reference, reader.number("bandwidth"), thresholds)
        made._windows.fill(reader.array("rows", "<i2", settings.features))
        made.level = reader.number("level")
        made.in_drift = reader.flag("in_drift")
        made._below = reader.integer("below")
        made._refuted = reader.number("refuted")
        return made
