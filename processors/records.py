"""What travels between the processors, and what others may subscribe to. Numbers and names; never text of a prompt."""

from __future__ import annotations

import uuid
from typing import Final, Literal, TypeVar

import msgspec

R = TypeVar("R")

NAMESPACE: Final = uuid.UUID("6f1c1f6e-0d51-5d55-9a3b-5c0a3c2f7c11")
"""Namespace of ids that are made from their cause, so that the same cause twice is the same id."""


class Position(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """Where an event stood in the inferences topic: partition, offset, line within the record."""

    partition: int
    offset: int
    index: int


class Measurement(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The numbers of one inference. `at` is when it ended, in Unix seconds; durations are seconds.

    `source` is the id of the topic that `position` is in: a topic that was made again begins at 0.
    """

    event_id: str
    at: float
    source: str
    position: Position
    environment: str
    model: str
    model_version: str = ""
    team: str = ""
    status: str = "ok"
    duration: float = 0.0
    time_to_first_token: float | None = None
    time_per_output_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    input_pii: int = 0
    output_pii: int = 0

    @property
    def key(self) -> str:
        """The Kafka key: whatever watches a model sees all of its measurements in one partition."""
        return model_key(self.environment, self.model)


class EmbeddingSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The embedding of one prompt, out of a sample. `vector` holds little-endian single floats, at least one.

    Raises:
        ValueError: the vector has no such form; while decoding it is a `msgspec.ValidationError`.
    """

    event_id: str
    at: float
    environment: str
    model: str
    embedding_model: str
    vector: bytes

    def __post_init__(self) -> None:
        """Refuse bytes that are no floats."""
        if not self.vector or len(self.vector) % 4:
            raise ValueError(f"vector has {len(self.vector)} bytes, not 4 for each number")


class DetectionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a detector found in a signal of one model."""

    detection_id: str
    at: float
    environment: str
    model: str
    signal: str
    detector: str
    statistic: float
    threshold: float
    p_value: float | None = None
    window_events: int = 0
    baseline: float | None = None
    observed: float | None = None
    event_ids: tuple[str, ...] = ()


AlertState = Literal["pending", "firing", "resolved"]
Severity = Literal["info", "warning", "critical"]


class AlertTransition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert that changed its state at `at`; it began at `started_at`. `events` is how many the value rests on."""

    transition_id: str
    alert_id: str
    at: float
    started_at: float
    state: AlertState
    rule: str
    severity: Severity
    environment: str
    model: str
    signal: str
    value: float
    threshold: float
    events: int
    summary: str
    retrain: bool = False


class RetrainingRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dataset that was written because of an alert, for a trainer to take."""

    run_id: str
    at: float
    alert_id: str
    environment: str
    model: str
    reason: str
    status: str
    dataset: str
    rows: int


def model_key(environment: str, model: str) -> str:
    """Return the key of everything that belongs to one model in one environment."""
    return f"{environment}/{model}"


def id_from(*cause: object) -> str:
    """Return the UUIDv5 of a cause: the same words give the same id."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(str(word) for word in cause)))


def encode_records(records: list[R]) -> bytes:
    """Return records as NDJSON."""
    return b"\n".join(map(msgspec.json.Encoder().encode, records))


def decode_records(value: bytes, kind: type[R]) -> list[R]:
    """Decode NDJSON written by `encode_records`. Raises `msgspec.DecodeError` for anything else."""
    return msgspec.json.Decoder(kind).decode_lines(value)
