"""Events for the SDK's tests, and a clock that a test moves."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from inferwatch import InferenceEvent, Message, Part, TensorSummary, Truncation, new_event_id


class HandClock:
    """Stands still until it is told otherwise; both of its readings move together."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def elapsed(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


def event(**fields: Any) -> InferenceEvent:
    """Return an event that is valid, with some fields as given."""
    given: dict[str, Any] = {
        "event_id": new_event_id(),
        "started_at": 1_700_000_000.0,
        "duration": 0.5,
        "source": "sdk",
        "request_model": "m",
    }
    return InferenceEvent(**{**given, **fields})


texts = st.text(max_size=40)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.none() | st.integers(0, 2**40)
parts = st.builds(
    Part,
    type=texts,
    content=st.none() | texts,
    id=st.none() | texts,
    name=st.none() | texts,
    arguments=st.recursive(
        st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
    ),
)
messages = st.builds(Message, role=texts, parts=st.lists(parts, max_size=3).map(tuple))
tensors = st.builds(
    TensorSummary,
    name=texts,
    datatype=st.text(string.ascii_uppercase, max_size=6),
    shape=st.lists(st.integers(0, 2**40), max_size=4).map(tuple),
    mean=st.none() | numbers,
)
events = st.builds(
    InferenceEvent,
    event_id=st.uuids().map(str),
    started_at=numbers,
    duration=numbers,
    source=st.sampled_from(["sdk", "sidecar-http", "sidecar-grpc", "otlp", "http", "cloudevents"]),
    user=st.none() | texts,
    request_model=texts,
    parameters=st.dictionaries(texts, st.booleans() | st.integers() | texts, max_size=3),
    stream=st.booleans(),
    time_to_first_token=st.none() | numbers,
    input_messages=st.lists(messages, max_size=2).map(tuple),
    output_messages=st.lists(messages, max_size=2).map(tuple),
    truncated=st.none() | st.builds(Truncation, input_characters=st.integers(0, 2**30)),
    input_tokens=counts,
    token_source=st.sampled_from([None, "reported", "counted", "estimated"]),
    status=st.sampled_from(["ok", "error", "cancelled"]),
    error_message=st.none() | texts,
    finish_reasons=st.lists(texts, max_size=2).map(tuple),
    input_tensors=st.lists(tensors, max_size=2).map(tuple),
    embedding=st.none() | st.lists(numbers, max_size=4).map(tuple),
    attributes=st.dictionaries(texts, texts, max_size=3),
)
