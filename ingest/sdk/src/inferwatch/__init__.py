"""Mirror model inference into Inferwatch: two lines, never in the way."""

from inferwatch.context import context
from inferwatch.errors import EventError, InferwatchError, SettingError, WireError
from inferwatch.events import (
    DropReport,
    FeedbackEvent,
    InferenceEvent,
    Message,
    Part,
    ServerSample,
    TensorSummary,
    Truncation,
    text_message,
)
from inferwatch.ids import new_event_id
from inferwatch.mirror import Mirror, MirrorStats
from inferwatch.recording import Inference
from inferwatch.settings import MirrorSettings

__all__ = [
    "DropReport",
    "EventError",
    "FeedbackEvent",
    "Inference",
    "InferenceEvent",
    "InferwatchError",
    "Message",
    "Mirror",
    "MirrorSettings",
    "MirrorStats",
    "Part",
    "ServerSample",
    "SettingError",
    "TensorSummary",
    "Truncation",
    "WireError",
    "context",
    "new_event_id",
    "text_message",
]
