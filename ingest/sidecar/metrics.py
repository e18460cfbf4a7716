"""What a sidecar counts about itself, in Prometheus' text format."""

from __future__ import annotations

from typing import Final, Literal, get_args

from ingest.counters import NamedCounters

MetricName = Literal[
    # Requests that came in through HTTP, recognised as inferences or not.
    "inferwatch_sidecar_http_requests_total",
    # Calls that came in through gRPC, recognised as inferences or not.
    "inferwatch_sidecar_grpc_calls_total",
    # Exchanges that were recognised as inferences; each becomes one event or is counted as dropped or failed.
    "inferwatch_sidecar_inferences_total",
    # Exchanges dropped because more waited to be parsed than `max_pending` or `max_pending_bytes` allow, or at a stop.
    "inferwatch_sidecar_unparsed_dropped_total",
    # Exchanges that could not be parsed; their events were mirrored without content, or not at all.
    "inferwatch_sidecar_parse_errors_total",
    # Errors inside the observation itself; the traffic they concern passed unobserved.
    "inferwatch_sidecar_observer_errors_total",
    # Connections whose bytes stopped being HTTP that can be followed; they passed on unobserved.
    "inferwatch_sidecar_unreadable_connections_total",
    # Requests that upstream refused, or left without an answer or in the middle of one.
    "inferwatch_sidecar_upstream_errors_total",
    # Requests that the client left before the response was complete.
    "inferwatch_sidecar_client_gone_total",
    # Events given to the mirror.
    "inferwatch_sidecar_recorded_total",
    # Events that Kafka acknowledged.
    "inferwatch_sidecar_mirrored_total",
    # Events dropped by the mirror because its memory was full.
    "inferwatch_sidecar_dropped_total",
    # Events that Kafka refused or did not acknowledge in time.
    "inferwatch_sidecar_failed_total",
    # Events that wait in the mirror now.
    "inferwatch_sidecar_waiting",
    # Exchanges that wait to be parsed now.
    "inferwatch_sidecar_unparsed",
    # HTTP connections from clients that are open now.
    "inferwatch_sidecar_http_connections",
    # gRPC connections from clients that are open now.
    "inferwatch_sidecar_grpc_connections",
]

METRIC_NAMES: Final[tuple[MetricName, ...]] = get_args(MetricName)


class Counters(NamedCounters[MetricName]):
    """What a sidecar counts."""

    def __init__(self) -> None:
        super().__init__(METRIC_NAMES)
