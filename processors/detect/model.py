"""The detectors of one model. Pure: measurements come in, detections go out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.embedding import EmbeddingDrift
from detectors.errors import BadSnapshot
from detectors.mmd.settings import EmbeddingDriftSettings
from detectors.proportion import ProportionStream
from detectors.protocols import Detection, NumericDetector
from detectors.streams import AdwinStream
from processors.records import DetectionRecord, EmbeddingSample, Measurement, id_from
from processors.settings import DetectSettings
from processors.watermarks import Watermarks

log: Final = logging.getLogger(__name__)

EMBEDDING: Final = "embedding"
NUMERIC: Final[dict[str, Callable[[Measurement], float | None]]] = {
    "duration": lambda m: m.duration if m.status == "ok" else None,
    "time_to_first_token": lambda m: m.time_to_first_token if m.status == "ok" else None,
    "time_per_output_token": lambda m: m.time_per_output_token if m.status == "ok" else None,
}
"""Signals of numbers; failed inferences say nothing about how long the others take."""

SHARES: Final[dict[str, Callable[[Measurement], float]]] = {
    "error": lambda m: float(m.status == "error"),
    "input_pii": lambda m: float(m.input_pii > 0),
}
"""Signals of yes and no."""


class ModelWatch:
    """Watches every signal of one model in one environment."""

    def __init__(self, settings: DetectSettings, environment: str, model: str) -> None:
        self.environment = environment
        self.model = model
        self._settings = settings
        self._watermarks = Watermarks()
        self._numeric = {signal: AdwinStream() for signal in NUMERIC}
        self._shares = {signal: ProportionStream() for signal in SHARES}
        self._drift: EmbeddingDrift | None = None

    def update(self, measurements: Iterable[Measurement]) -> list[DetectionRecord]:
        """Take measurements, those seen before excepted; return what was found, in order."""
        fresh = self._watermarks.unseen(measurements)
        found: list[DetectionRecord] = []
        for measurement in fresh:
            for signal, value_of in NUMERIC.items():
                found += self._one(signal, self._numeric[signal], measurement, value_of(measurement))
            for signal, share_of in SHARES.items():
                found += self._one(signal, self._shares[signal], measurement, share_of(measurement))
        return found

    def _one(
        self, signal: str, detector: NumericDetector, measurement: Measurement, value: float | None
    ) -> list[DetectionRecord]:
        detection = None if value is None else detector.update(value, measurement.at)
        return [] if detection is None else [self._record(signal, detection, measurement)]

    def embed(self, samples: Iterable[EmbeddingSample]) -> list[DetectionRecord]:
        """Take embeddings of a sample of prompts, in order; return what was found."""
        vectors = [(sample, np.frombuffer(sample.vector, dtype="<f4")) for sample in samples]
        usable = [(sample, vector) for sample, vector in vectors if self._fits(vector)]
        if not usable or self._drift is None:
            return []
        batch = np.stack([vector for _, vector in usable]).astype(np.float32)
        return [self._record(EMBEDDING, found, usable[found.index][0]) for found in self._drift.update(batch)]

    def _fits(self, vector: NDArray[np.float32]) -> bool:
        if not np.isfinite(vector).all():
            log.warning("%s: an embedding with a component that is not finite is left out", self.model)
            return False
        dimensions = len(vector)
        if self._drift is None:
            self._drift = EmbeddingDrift(drift_settings(self._settings, dimensions))
        expected = self._drift.settings.dimensions
        if dimensions != expected:
            log.warning(
                "%s: an embedding of %d dimensions among those of %d is left out", self.model, dimensions, expected
            )
        return dimensions == expected

    def _record(self, signal: str, found: Detection, cause: Measurement | EmbeddingSample) -> DetectionRecord:
        return DetectionRecord(
            detection_id=id_from("detection", signal, found.detector, cause.event_id),
            at=cause.at,
            environment=self.environment,
            model=self.model,
            signal=signal,
            detector=found.detector,
            statistic=found.statistic,
            threshold=found.threshold,
            p_value=found.p_value,
            window_events=found.window,
            baseline=found.before,
            observed=found.after,
            event_ids=(cause.event_id,),
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain JSON."""
        return {
            "environment": self.environment,
            "model": self.model,
            "watermarks": self._watermarks.snapshot(),
            "numeric": {signal: detector.snapshot() for signal, detector in self._numeric.items()},
            "shares": {signal: detector.snapshot() for signal, detector in self._shares.items()},
            "dimensions": self._drift.settings.dimensions if self._drift else None,
            "drift": self._drift.snapshot() if self._drift else None,
        }

    @classmethod
    def restored(cls, snapshot: dict[str, Any], settings: DetectSettings) -> ModelWatch:
        """Return the state that a snapshot describes. Detectors whose settings changed since then start afresh."""
        watch = cls(settings, snapshot["environment"], snapshot["model"])
        watch._watermarks = Watermarks(snapshot["watermarks"])
        try:
            for signal, numeric in watch._numeric.items():
                watch._numeric[signal] = AdwinStream.from_snapshot(numeric.settings, snapshot["numeric"][signal])
            for signal, share in watch._shares.items():
                watch._shares[signal] = ProportionStream.from_snapshot(share.settings, snapshot["shares"][signal])
            if snapshot["drift"] is not None:
                drift = drift_settings(settings, snapshot["dimensions"])
                watch._drift = EmbeddingDrift.from_snapshot(drift, snapshot["drift"])
        except (BadSnapshot, KeyError) as error:
            log.warning("Some detectors of %s start afresh: %s", watch.model, error)
        return watch


def drift_settings(settings: DetectSettings, dimensions: int) -> EmbeddingDriftSettings:
    """Return the drift detector's settings for embeddings of that many dimensions."""
    return EmbeddingDriftSettings(
        dimensions=dimensions,
        reference=settings.reference_events,
        windows=settings.windows,
        expected_run_length=settings.expected_run_length,
    )
