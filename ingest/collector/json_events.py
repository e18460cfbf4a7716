"""`/v1/events`, `/v1/feedback` and `/v1/telemetry`: JSON to records. All of a request is taken or none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from inferwatch import topics
from inferwatch.events import DropReport, FeedbackEvent, InferenceEvent, ServerSample, TelemetryEvent
from inferwatch.ids import new_event_id
from inferwatch.transport import Record
from inferwatch.validity import Reason
from inferwatch.wire import join_record
from ingest.collector.batch import Batch, chunks, inference_line, inference_records, line_of
from ingest.collector.json_values import converted, objects_in
from ingest.collector.made_ids import made_id
from ingest.collector.received import Received
from ingest.collector.validity import event_invalid, feedback_invalid, telemetry_invalid
from ingest.errors import Invalid

E = TypeVar("E", InferenceEvent, FeedbackEvent, TelemetryEvent)

_TELEMETRY: Final = DropReport | ServerSample
_MOST_SECONDS: Final = 1e11


def decode_events(received: Received) -> Batch:
    """Return the records of inferences.

    Raises:
        Refused: the body is malformed, or an event cannot be taken.
    """
    given = objects_in(received.body, received.media_type)
    own_ids = all(event.get("event_id") is not None for event in given)
    lines, ids = [], []
    for index, value in enumerate(given):
        event = _valid(_filled_event(value, index, received), InferenceEvent, index, event_invalid, received.at)
        lines.append(inference_line(event, received.most_characters, index))
        ids.append(event.event_id)
    return Batch(
        tuple(inference_records(lines)),
        msgspec.json.encode({"accepted": len(ids), "event_ids": ids}),
        (("inferwatch_collector_events_total", len(ids)),),
        repeatable=own_ids,
    )


def decode_feedback(received: Received) -> Batch:
    """Return the records of feedback, keyed by the inference that it is about. Raises `Refused` as `decode_events`."""
    given = objects_in(received.body, received.media_type)
    own_ids = all(event.get("feedback_id") is not None for event in given)
    keyed, ids = [], []
    for index, value in enumerate(given):
        if value.get("at") is None:
            value["at"] = received.at
        if value.get("feedback_id") is None:
            value["feedback_id"] = _new_id(received, index, received.at)
        event = _valid(value, FeedbackEvent, index, feedback_invalid, received.at)
        keyed.append((event.event_id or event.response_id or "", line_of(event, index)))
        ids.append(event.feedback_id)
    return Batch(
        tuple(_keyed_records(topics.FEEDBACK, keyed)),
        msgspec.json.encode({"accepted": len(ids), "feedback_ids": ids}),
        (("inferwatch_collector_feedback_total", len(ids)),),
        repeatable=own_ids,
    )


def decode_telemetry(received: Received) -> Batch:
    """Return the records of reports and samples, keyed by environment and model. Raises `Refused`, see above."""
    keyed = []
    for index, value in enumerate(objects_in(received.body, received.media_type)):
        _take_over(value, received)
        event: TelemetryEvent = _valid(value, _TELEMETRY, index, telemetry_invalid, received.at)
        model = event.model if isinstance(event, ServerSample) else ""
        keyed.append((f"{event.environment}/{model}", line_of(event, index)))
    return Batch(
        tuple(_keyed_records(topics.TELEMETRY, keyed)),
        msgspec.json.encode({"accepted": len(keyed)}),
        (("inferwatch_collector_telemetry_total", len(keyed)),),
        repeatable=True,
    )


def _filled_event(value: dict[str, Any], index: int, received: Received) -> dict[str, Any]:
    if value.get("started_at") is None:
        value["started_at"] = received.at - _seconds(value.get("duration"), 0.0)
    if value.get("event_id") is None:
        value["event_id"] = _new_id(received, index, _seconds(value["started_at"], received.at))
    if value.get("source") is None:
        value["source"] = "http"
    _take_over(value, received)
    return value


def _seconds(given: object, otherwise: float) -> float:
    """Return a number that may be seconds; what is none is refused later."""
    return float(given) if isinstance(given, int | float) and 0 <= given < _MOST_SECONDS else otherwise


def _take_over(value: dict[str, Any], received: Received) -> None:
    """Put the key's team and environment in place of those that are given."""
    if value.get("environment") is None:
        value["environment"] = received.environment
    owned = {"team": received.caller.team, "environment": received.caller.environment}
    value.update({name: owner for name, owner in owned.items() if owner})


def _new_id(received: Received, index: int, at: float) -> str:
    """Return an id; made from the Idempotency-Key where there is one, so that a repetition elsewhere is recognised."""
    key = received.idempotency_key
    if key:
        return made_id(at, received.caller.key_id, received.path, key, index)
    return new_event_id()


def _valid(value: dict[str, Any], kind: Any, index: int, invalid: Callable[[E, float], Reason | None], now: float) -> E:
    event: E = converted(value, kind, index)
    wrong = invalid(event, now)
    if wrong is not None:
        raise Invalid(index, *wrong)
    return event


def _keyed_records(topic: str, keyed: Iterable[tuple[str, bytes]]) -> Iterable[Record]:
    """Yield records of lines that have the same key, in the order in which keys appear."""
    by_key: dict[str, list[bytes]] = {}
    for key, line in keyed:
        by_key.setdefault(key, []).append(line)
    for key, lines in by_key.items():
        for part in chunks(lines):
            yield Record(topic, join_record(part), len(part), key.encode("utf-8", "replace"))
