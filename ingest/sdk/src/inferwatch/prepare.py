"""What happens to an event between the caller's thread and the wire: tensors, sampling, masking, cutting."""

from __future__ import annotations

from inferwatch.events import FeedbackEvent, InferenceEvent
from inferwatch.masking import mask_event, mask_feedback
from inferwatch.sampling import keeps_text, without_text
from inferwatch.settings import MirrorSettings
from inferwatch.tensors import with_summaries
from inferwatch.truncation import truncate


def prepare(event: InferenceEvent | FeedbackEvent, settings: MirrorSettings) -> InferenceEvent | FeedbackEvent:
    """Return an event as it leaves the process. Masked before it is cut: half a value is not recognised."""
    if isinstance(event, FeedbackEvent):
        return event if settings.mask is None else mask_feedback(event, settings.mask)
    event = with_summaries(event)
    if not keeps_text(event, settings.text_sample):
        event = without_text(event)
    if settings.mask is not None:
        event = mask_event(event, settings.mask)
    return truncate(event, settings.max_text_characters)
