"""A Kafka record is NDJSON: one event or more, one a line. Readable with kcat, accepted as JSONEachRow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from inferwatch.errors import EventError
from inferwatch.events import SCHEMA_VERSION, DropReport, FeedbackEvent, InferenceEvent, ServerSample, TelemetryEvent

E = TypeVar("E", InferenceEvent, FeedbackEvent, TelemetryEvent)

_encoder: Final = msgspec.json.Encoder()
_inference: Final = msgspec.json.Decoder(InferenceEvent)
_feedback: Final = msgspec.json.Decoder(FeedbackEvent)
_telemetry: Final = msgspec.json.Decoder[TelemetryEvent](DropReport | ServerSample)


def encode_event(event: InferenceEvent | FeedbackEvent | TelemetryEvent) -> bytes:
    """Return one event as a line of JSON, without the newline. A lone surrogate, which has no UTF-8 form, becomes "?".

    Raises:
        TypeError, RecursionError: a field holds something that JSON cannot.
    """
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
        return _encoder.encode(json.loads(text.encode("utf-8", "replace")))


def check_line(line: bytes, event: InferenceEvent | FeedbackEvent) -> None:
    """Raise `EventError` where an encoded event is none that can be decoded: fields may have held any type."""
    if isinstance(event, FeedbackEvent):
        decode_feedback(line)
    else:
        decode_inference(line)


def join_record(lines: Iterable[bytes]) -> bytes:
    """Return encoded events as the value of one Kafka record."""
    return b"\n".join(lines)


def split_record(record: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each line of a record that is not blank with its index, counted from 0 over all lines."""
    for index, line in enumerate(record.split(b"\n")):
        if line.strip():
            yield index, line


def decode_inference(line: bytes, index: int = 0) -> InferenceEvent:
    """Decode one line.

    Raises:
        EventError: not JSON, a field is missing or of another type, or the schema version is a later one.
    """
    return _decode(_inference, line, index)


def decode_feedback(line: bytes, index: int = 0) -> FeedbackEvent:
    """Decode one line. Raises `EventError` as `decode_inference` does."""
    return _decode(_feedback, line, index)


def decode_telemetry(line: bytes, index: int = 0) -> TelemetryEvent:
    """Decode one line. Raises `EventError` as `decode_inference` does."""
    event: TelemetryEvent = _decode(_telemetry, line, index)
    return event


def _decode(decoder: msgspec.json.Decoder[E], line: bytes, index: int) -> E:
    try:
        event = decoder.decode(line)
    except msgspec.ValidationError as error:
        raise EventError(index, _without_values(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventError(index, f"not JSON: {type(error).__name__}") from error
    except RecursionError as error:
        raise EventError(index, "nested too deeply") from error
    if event.schema_version > SCHEMA_VERSION:
        raise EventError(
            index, f"schema_version {event.schema_version} is newer than {SCHEMA_VERSION}, the newest known here"
        )
    return event


def _without_values(reason: str) -> str:
    """Reasons are stored and shown, and msgspec quotes an unknown enum value, which may be anything, also quotes."""
    return re.sub(r"""["'].*["']|["'].*""", "'…'", reason, flags=re.DOTALL)
