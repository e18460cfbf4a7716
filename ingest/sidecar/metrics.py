"""What a sidecar counts about itself, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

MetricName = Literal[
    # Requests that came in through HTTP, recognised as inferences or not.
    "inferwatch_sidecar_http_requests_total",
    # Calls that came in through gRPC, recognised as inferences or not.
    "inferwatch_sidecar_grpc_calls_total",
    # Exchanges that were recognised as inferences; each becomes one event or is counted as dropped or failed.
    "inferwatch_sidecar_inferences_total",
    # Exchanges dropped because more waited to be parsed than `max_pending` or `max_pending_bytes` allow.
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


class Counters:
    """Counts by name. Each name is counted by one thread only, any thread may read."""

    def __init__(self) -> None:
        self._counts: dict[MetricName, int] = dict.fromkeys(METRIC_NAMES, 0)

    def add(self, name: MetricName, by: int = 1) -> None:
        """Count something that happened."""
        self._counts[name] += by

    def __getitem__(self, name: MetricName) -> int:
        return self._counts[name]


def exposition(values: Mapping[MetricName, int]) -> str:
    """Return values in Prometheus' text format 0.0.4; names that end in `_total` are counters, the others gauges."""
    lines = []
    for name, value in values.items():
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        lines.append(f"{name} {value}")
    return "\n".join(lines) + "\n"
