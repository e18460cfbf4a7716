"""Recorded inference events: NDJSON, as the inferences topic holds them and `kcat` prints them."""

from __future__ import annotations

import math

from inferwatch.errors import EventError
from inferwatch.wire import decode_inference
from ingest.replay.arrival import Arrival
from ingest.replay.errors import BadLineError
from ingest.replay.lines import Line
from ingest.replay.moments import moment


def read_recorded(line: Line) -> Arrival:
    """Return the inference of a line, which arrived when it started. Raises `BadLineError`."""
    try:
        event = decode_inference(line.data)
    except EventError as error:
        raise BadLineError(line.number, error.reason) from error
    if not (math.isfinite(event.duration) and event.duration >= 0):
        raise BadLineError(line.number, "$.duration: negative or not a number")
    return Arrival(
        at=moment(event.started_at, line.number, "$.started_at:"),
        line=line.number,
        size=len(line.data),
        place=line.place,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        event=event,
    )
