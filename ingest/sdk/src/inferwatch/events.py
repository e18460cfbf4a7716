"""The events that travel through Kafka. Field names follow OpenTelemetry's GenAI conventions, see `semconv`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.1"
SCHEMA_VERSION: Final = 1

Source = Literal["sdk", "sidecar-http", "sidecar-grpc", "otlp", "http", "cloudevents"]
Status = Literal["ok", "error", "cancelled"]
TokenSource = Literal["reported", "counted", "estimated"]

# None of these is tracked by the garbage collector (`gc=False`): nothing that JSON can say refers back to its event,
# and looking through them took a twelfth of a worker's time.


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One part of a message, in the shape of OpenTelemetry's GenAI message schemas."""

    type: str
    content: str | None = None
    id: str | None = None
    name: str | None = None
    arguments: Any = None
    response: Any = None


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One chat message: a role (`system`, `user`, `assistant`, `tool`) and its parts."""

    role: str
    parts: tuple[Part, ...] = ()
    finish_reason: str | None = None


class TensorSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A tensor of a model that is not a language model: its shape and a numeric summary, never its content.

    The moments are of finite values, and so is `sketch`, which counts them by bucket, see `inferwatch.tensors`.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] = ()
    count: int | None = None
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    nan_share: float | None = None
    sketch: dict[int, int] | None = None


class Truncation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Original lengths, in characters, of text that was cut before it was sent; and its hash, of a side that was cut.

    The hash is the SHA-256 of the side's texts, see `inferwatch.truncation.sha256_of`.
    """

    input_characters: int = 0
    output_characters: int = 0
    input_sha256: str | None = None
    output_sha256: str | None = None


class InferenceEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One inference: what was asked of which model, what came back, how long it took.

    Times are Unix seconds, durations are seconds. `time_to_first_token` runs from `started_at` to the first
    chunk that carries output; it is None where the response was not streamed. `input_tokens` includes cached ones and
    `output_tokens` includes reasoning ones; the sub-counts stand apart.
    """

    event_id: str
    started_at: float
    duration: float
    source: Source
    schema_url: str = SCHEMA_URL
    schema_version: int = SCHEMA_VERSION

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    conversation_id: str | None = None
    response_id: str | None = None

    service: str = ""
    environment: str = "default"
    team: str = ""
    user: str | None = None

    operation: str = "chat"
    provider: str = "triton"
    request_model: str = ""
    response_model: str | None = None
    model_version: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    parameters: dict[str, Any] = {}
    stream: bool = False

    time_to_first_token: float | None = None
    queue_time: float | None = None
    compute_time: float | None = None

    input_messages: tuple[Message, ...] = ()
    output_messages: tuple[Message, ...] = ()
    content_unavailable: bool = False
    truncated: Truncation | None = None

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None
    token_source: TokenSource | None = None

    status: Status = "ok"
    error_type: str | None = None
    error_message: str | None = None
    finish_reasons: tuple[str, ...] = ()

    input_tensors: tuple[TensorSummary, ...] = ()
    output_tensors: tuple[TensorSummary, ...] = ()

    embedding: tuple[float, ...] | None = None
    attributes: dict[str, str] = {}

    @property
    def model(self) -> str:
        """The model that answered or, where the response did not say, the one that was asked for."""
        return self.response_model or self.request_model


class FeedbackEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A rating or correction of one inference, found by its event id or the id of its response."""

    feedback_id: str
    at: float
    event_id: str | None = None
    response_id: str | None = None
    score: float | None = None
    label: str | None = None
    comment: str | None = None
    who: str | None = None
    schema_version: int = SCHEMA_VERSION


class DropReport(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="drops"
):
    """How many events one mirror lost since it said so last, so that what is missing is known to be missing.

    `source` is what mirrors: `sdk` or `sidecar`. `dropped` never left the process because its memory was full; `failed`
    were sent and not acknowledged, or could not be written as JSON. Both count what happened from `since` to `at`, Unix
    seconds; reports of one `instance` follow each other without gap or overlap. One that nobody acknowledged is made
    again with what was lost meanwhile: of two with one `report_id` the later `at` holds.
    """

    report_id: str
    at: float
    since: float
    source: str
    instance: str
    service: str = ""
    environment: str = "default"
    team: str = ""
    dropped: int = 0
    failed: int = 0
    reasons: dict[str, int] = {}
    schema_version: int = SCHEMA_VERSION


class ServerSample(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="server"
):
    """What a model server says of one model version, or of one device, over the `interval` seconds before `at`.

    A sample is of a model (`model` is set) or of a device (`device` is set): the UUID of a GPU, or `cpu` for all
    processors and the memory of the machine. Counts, times and `energy` are what was added in the interval; `pending`
    and the rest of what is said of a device are readings at `at`. None: the server does not tell.

    `requests` succeeded, those answered from a cache included; `failures` counts those that did not, by reason. Times
    are seconds of requests that succeeded. `energy` is in joules, `power` in watts, memory in bytes, `utilisation` from
    0 to 1.
    """

    sample_id: str
    at: float
    interval: float
    instance: str
    environment: str = "default"

    model: str = ""
    model_version: str = ""
    requests: int = 0
    failures: dict[str, int] = {}
    inferences: int = 0
    executions: int = 0
    pending: int | None = None
    request_time: float | None = None
    queue_time: float | None = None
    compute_input_time: float | None = None
    compute_infer_time: float | None = None
    compute_output_time: float | None = None
    cache_hits: int | None = None
    cache_misses: int | None = None

    device: str = ""
    utilisation: float | None = None
    memory_used: float | None = None
    memory_total: float | None = None
    power: float | None = None
    power_limit: float | None = None
    energy: float | None = None
    schema_version: int = SCHEMA_VERSION


TelemetryEvent: TypeAlias = DropReport | ServerSample
"""What travels through the telemetry topic, told apart by `kind`."""


def text_of(part: Part) -> str:
    """Return the text of a part: its content, or what a tool answered or was called with where that is a text."""
    for given in (part.content, part.response, part.arguments):
        if given and isinstance(given, str):
            return given
    return ""


def characters_of(messages: tuple[Message, ...]) -> int:
    """Return how many characters the texts of messages have."""
    return sum([len(part.content or text_of(part)) for message in messages for part in message.parts])


def text_message(role: str, text: str) -> Message:
    """Return a message with one text part."""
    return Message(role=role, parts=(Part(type="text", content=text),))
