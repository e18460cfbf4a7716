"""Kafka topic names, shared by everything that produces or consumes."""

from __future__ import annotations

from typing import Final

INFERENCES: Final = "inferwatch.inferences"
"""Mirrored traffic, unkeyed. Short retention: it holds unmasked text."""

FEEDBACK: Final = "inferwatch.feedback"
"""Ratings and corrections, keyed by event id."""

TELEMETRY: Final = "inferwatch.telemetry"
"""What mirrors say they lost and what model servers say of themselves, keyed by environment and model."""

CLOUDEVENT_HALVES: Final = "inferwatch.cloudevent-halves"
"""Requests and responses that wait for each other in the collector, keyed by what they share. Holds unmasked text."""

MEASUREMENTS: Final = "inferwatch.measurements"
"""Numbers only, from enrich to detect, keyed by environment and model."""

EMBEDDINGS: Final = "inferwatch.embeddings"
"""Embeddings of a sample of prompts, keyed by environment and model."""

DETECTIONS: Final = "inferwatch.detections"
"""What detectors found, keyed by environment and model."""

ALERTS: Final = "inferwatch.alerts"
"""Alert transitions, keyed by environment and model."""

RETRAINING: Final = "inferwatch.retraining"
"""Retraining runs, keyed by environment and model."""

DEAD_LETTERS: Final = "inferwatch.dead-letters"
"""What could not be processed: the original bytes, with the reason and the place in headers."""

ALL: Final = (
    INFERENCES,
    FEEDBACK,
    TELEMETRY,
    CLOUDEVENT_HALVES,
    MEASUREMENTS,
    EMBEDDINGS,
    DETECTIONS,
    ALERTS,
    RETRAINING,
    DEAD_LETTERS,
)
