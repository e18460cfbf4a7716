"""Arrivals as the HTTP requests that a client would send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from inferwatch.events import InferenceEvent, Message
from ingest.replay.arrival import Arrival
from ingest.replay.filler import filler
from ingest.replay.settings import DEFAULT_MODEL, RequestSettings

_HEADERS: Final = {
    "team": "x-inferwatch-team",
    "environment": "x-inferwatch-environment",
    "service": "x-inferwatch-service",
    "user": "x-inferwatch-user",
    "conversation_id": "x-inferwatch-conversation",
    "prompt_name": "x-inferwatch-prompt-name",
    "prompt_version": "x-inferwatch-prompt-version",
}
_WITHOUT_TEXT: Final = ("embeddings", "infer")
_LABELS: Final = ("team", "environment", "service")
_DEFAULT_OF: Final = {"environment": "default"}


@dataclass(frozen=True, slots=True)
class Request:
    """What to post; `capped` says whether prompt or answer are shorter than the trace says."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    capped: bool


def can_be_asked(arrival: Arrival) -> bool:
    """Whether text was generated; embeddings and tensors cannot be asked for again: nobody kept what went in."""
    return arrival.event is None or arrival.event.operation not in _WITHOUT_TEXT


def request_of(arrival: Arrival, settings: RequestSettings) -> Request:
    """Return the request of an arrival."""
    model = _model(arrival, settings)
    most, capped_output = _most_tokens(arrival, settings)
    messages = _recorded_messages(arrival.event)
    capped_input = not messages and (arrival.input_tokens or 0) > settings.most_input_tokens
    if not messages:
        tokens = max(1, min(arrival.input_tokens or 1, settings.most_input_tokens))
        text = filler(tokens, f"{settings.seed} {arrival.line}", arrival.blocks)
        messages = [{"role": "user", "content": text}]
    return Request(
        path="/v1/chat/completions"
        if settings.route == "chat"
        else f"/v2/models/{quote(model, safe='')}/{settings.route}",
        headers=_headers(arrival.event, settings),
        body=_body(model, messages, most, settings),
        capped=capped_input or capped_output,
    )


def caps(arrival: Arrival, settings: RequestSettings) -> bool:
    """Whether the request of an arrival is shorter than the trace says."""
    made = not _recorded_messages(arrival.event)
    return (made and (arrival.input_tokens or 0) > settings.most_input_tokens) or _most_tokens(arrival, settings)[1]


def _model(arrival: Arrival, settings: RequestSettings) -> str:
    recorded = "" if arrival.event is None else arrival.event.request_model or arrival.event.model
    return settings.labels.model or recorded or DEFAULT_MODEL


def _most_tokens(arrival: Arrival, settings: RequestSettings) -> tuple[int, bool]:
    """Return the longest answer to ask for, and whether it is shorter than the trace says."""
    wanted = arrival.output_tokens
    if wanted is None:
        return settings.most_output_tokens, False
    return max(1, min(wanted, settings.most_output_tokens)), wanted > settings.most_output_tokens


def _body(model: str, messages: Sequence[dict[str, str]], most: int, settings: RequestSettings) -> dict[str, Any]:
    if settings.route == "chat":
        return {
            "model": model,
            "messages": list(messages),
            "max_tokens": most,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    text = "\n".join(message["content"] for message in messages)
    return {"text_input": text, "max_tokens": most, "stream": settings.route == "generate_stream"}


def _recorded_messages(event: InferenceEvent | None) -> list[dict[str, str]]:
    if event is None:
        return []
    messages = [{"role": message.role, "content": _text(message)} for message in event.input_messages]
    return [message for message in messages if message["content"]]


def _text(message: Message) -> str:
    return "\n".join(part.content for part in message.parts if part.type == "text" and part.content)


def _headers(event: InferenceEvent | None, settings: RequestSettings) -> dict[str, str]:
    values: dict[str, str | None] = {} if event is None else {name: getattr(event, name) for name in _HEADERS}
    values |= {name: value for name in _LABELS if (value := getattr(settings.labels, name)) is not None}
    return {
        _HEADERS[name]: value
        for name, value in values.items()
        # What the sidecar says by itself need not be said, and a header cannot hold everything that a name can.
        if value and value != _DEFAULT_OF.get(name) and value.isprintable()
    }
