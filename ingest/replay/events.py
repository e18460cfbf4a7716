"""Arrivals as the events that would have been mirrored."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from inferwatch.events import InferenceEvent, text_message
from inferwatch.ids import new_event_id
from ingest.replay.arrival import Arrival
from ingest.replay.filler import filler
from ingest.replay.schedule import Due
from ingest.replay.settings import DEFAULT_MODEL, EventSettings, Labels

ATTRIBUTE: Final = "inferwatch.replayed"
"""What every replayed event carries: `trace`, whose durations are assumed, or `recording`."""


def time_to_first_token(arrival: Arrival, settings: EventSettings) -> float | None:
    """Return the assumed seconds until the first token, None where there was none."""
    return settings.ttft if arrival.output_tokens else None


def duration(arrival: Arrival, settings: EventSettings) -> float:
    """Return the seconds that were recorded or, for a trace without times, ttft + tpot · (output tokens - 1)."""
    if arrival.event is not None:
        return arrival.event.duration
    return settings.ttft + settings.tpot * max(0, (arrival.output_tokens or 0) - 1)


def event_of(due: Due, started_at: float, settings: EventSettings, most_characters: int) -> InferenceEvent:
    """Return the event of an arrival that began at `started_at`, in Unix seconds, with an id of its own.

    Text that is made for it and would be longer than `most_characters` is longer than that, and may lack the rest.
    """
    if due.arrival.event is not None:
        return _recorded(due.arrival.event, started_at, settings.labels)
    return _made(due, started_at, settings, most_characters)


def _recorded(event: InferenceEvent, started_at: float, labels: Labels) -> InferenceEvent:
    changes: dict[str, Any] = {name: value for name in ("team", "environment", "service")
                               if (value := getattr(labels, name)) is not None}  # fmt: skip
    if labels.model is not None:
        changes |= {"request_model": labels.model, "response_model": None, "model_version": None}
    return msgspec.structs.replace(
        event,
        event_id=new_event_id(_milliseconds(started_at)),
        started_at=started_at,
        # These name the inference that was recorded: a rating of it, or its place in a trace, is not this one's.
        response_id=None,
        trace_id=None,
        span_id=None,
        parent_span_id=None,
        attributes={**event.attributes, ATTRIBUTE: "recording"},
        **changes,
    )


def _made(due: Due, started_at: float, settings: EventSettings, most_characters: int) -> InferenceEvent:
    arrival, labels = due.arrival, settings.labels
    asked = answered = ""
    if settings.text:
        # Each token is a character or more.
        asked_tokens = min(arrival.input_tokens or 0, most_characters)
        asked = filler(asked_tokens, f"{settings.seed} {arrival.line}", arrival.blocks)
        answered_tokens = min(arrival.output_tokens or 0, most_characters)
        answered = filler(answered_tokens, f"{settings.seed} {arrival.line} answer")
    return InferenceEvent(
        event_id=new_event_id(_milliseconds(started_at)),
        started_at=started_at,
        duration=due.duration,
        source="sdk",
        request_model=labels.model or DEFAULT_MODEL,
        team=labels.team or "",
        environment=labels.environment or "default",
        service=labels.service or "",
        stream=True,
        time_to_first_token=time_to_first_token(arrival, settings),
        input_messages=(text_message("user", asked),) if asked else (),
        output_messages=(text_message("assistant", answered),) if answered else (),
        content_unavailable=not settings.text,
        input_tokens=arrival.input_tokens,
        output_tokens=arrival.output_tokens,
        token_source="reported",  # noqa: S106 - tokens of text
        attributes={ATTRIBUTE: "trace"},
    )


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
