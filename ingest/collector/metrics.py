"""What a collector counts about itself, in Prometheus' text format."""

from __future__ import annotations

from typing import Final, Literal, get_args

from ingest.counters import NamedCounters

MetricName = Literal[
    # Requests that came in through HTTP.
    "inferwatch_collector_http_requests_total",
    # Calls that came in through gRPC.
    "inferwatch_collector_grpc_calls_total",
    # Bytes of request bodies, decompressed.
    "inferwatch_collector_body_bytes_total",
    # Inferences that were acknowledged, whichever way they came, joined CloudEvents too.
    "inferwatch_collector_events_total",
    # Feedback that was acknowledged.
    "inferwatch_collector_feedback_total",
    # Reports of losses and samples of servers that were acknowledged.
    "inferwatch_collector_telemetry_total",
    # Halves of inferences, from KServe's logger, that were acknowledged.
    "inferwatch_collector_halves_total",
    # OTLP spans that are no inference, log records and data points; left out, and of the latter two senders were told.
    "inferwatch_collector_otlp_ignored_total",
    # OTLP spans that are inferences and cannot be true; their senders were told.
    "inferwatch_collector_otlp_rejected_total",
    # Requests answered from the memory of an earlier one with the same Idempotency-Key or content.
    "inferwatch_collector_repeats_total",
    # Requests answered with 401.
    "inferwatch_collector_unauthenticated_total",
    # Requests answered with 429.
    "inferwatch_collector_limited_total",
    # Requests answered with another status from 400 to 499.
    "inferwatch_collector_refused_total",
    # Requests answered with 503.
    "inferwatch_collector_unavailable_total",
    # Requests answered with 500: errors of the collector itself.
    "inferwatch_collector_errors_total",
    # Kafka records that were acknowledged.
    "inferwatch_collector_acknowledged_records_total",
    # Kafka records that were refused or not acknowledged in time.
    "inferwatch_collector_failed_records_total",
    # Inferences joined from both of their halves.
    "inferwatch_collector_joined_total",
    # Inferences of which only the request came in time.
    "inferwatch_collector_responses_missing_total",
    # Inferences of which only the response came in time.
    "inferwatch_collector_requests_missing_total",
    # Halves that came again, or after their inference was written without them; left out.
    "inferwatch_collector_late_halves_total",
    # Halves that waited no longer because too many bytes waited.
    "inferwatch_collector_hurried_halves_total",
    # Bytes of requests and of records not yet acknowledged that are held now.
    "inferwatch_collector_in_flight_bytes",
    # Halves that wait for their other half now.
    "inferwatch_collector_waiting_halves",
]

METRIC_NAMES: Final[tuple[MetricName, ...]] = get_args(MetricName)


class Counters(NamedCounters[MetricName]):
    """What a collector counts."""

    def __init__(self) -> None:
        super().__init__(METRIC_NAMES)
