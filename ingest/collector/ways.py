"""Every way in over HTTP."""

from __future__ import annotations

from typing import Final

from ingest.collector.cloudevents.http import BATCHED, STRUCTURED, decode_cloudevents
from ingest.collector.json_events import decode_events, decode_feedback, decode_telemetry
from ingest.collector.json_values import MEDIA_TYPES
from ingest.collector.otlp.ways import OTLP_WAYS
from ingest.collector.way import ANY, Way

WAYS: Final = (
    Way("/v1/events", MEDIA_TYPES, decode_events),
    Way("/v1/feedback", MEDIA_TYPES, decode_feedback),
    Way("/v1/telemetry", MEDIA_TYPES, decode_telemetry),
    Way("/cloudevents", (STRUCTURED, BATCHED, ANY), decode_cloudevents, key_in_query=True),
    *OTLP_WAYS,
)
