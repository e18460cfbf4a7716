"""What happens to an event between the caller's thread and the wire: texts, tensors, sampling, masking, cutting."""

from __future__ import annotations

from inferwatch.events import FeedbackEvent, InferenceEvent
from inferwatch.masking import mask_event, mask_feedback
from inferwatch.sampling import keeps_text, marked, without_text
from inferwatch.settings import MirrorSettings
from inferwatch.tensors import with_summaries
from inferwatch.texts import with_texts
from inferwatch.truncation import truncate


def prepare(event: InferenceEvent | FeedbackEvent, settings: MirrorSettings) -> InferenceEvent | FeedbackEvent:
    """Return an event as it leaves the process. Masked before it is cut: half a value is not recognised."""
    if isinstance(event, FeedbackEvent):
        feedback = with_texts(event)
        return feedback if settings.mask is None else mask_feedback(feedback, settings.mask)
    event = with_summaries(with_texts(event))
    keeps = keeps_text(event, settings.text_sample)
    if not keeps:
        event = without_text(event)
    if settings.mask is not None:
        event = mask_event(event, settings.mask)
    if not keeps:
        event = marked(event)  # afterwards: a mask is for what the application says
    return truncate(event, settings.max_text_characters)
