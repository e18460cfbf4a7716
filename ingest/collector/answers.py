"""How errors are told: as JSON, for everything but OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.collector.json_values import JSON
from ingest.collector.metrics import Counters, MetricName
from ingest.errors import Refused

_COUNTED: Final[dict[int, MetricName]] = {
    401: "inferwatch_collector_unauthenticated_total",
    429: "inferwatch_collector_limited_total",
    500: "inferwatch_collector_errors_total",
    503: "inferwatch_collector_unavailable_total",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers of an answer over HTTP."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] | None = None


def refusal(error: Refused) -> Answer:
    """Return the answer to a request that is refused."""
    told: dict[str, object] = {"code": error.code, "message": str(error)}
    for name in ("index", "path"):
        value = getattr(error, name, None)
        if value is not None:
            told[name] = value
    return Answer(error.status, msgspec.json.encode({"error": told}), headers=refusal_headers(error))


def refusal_headers(error: Refused) -> dict[str, str]:
    """Return the headers that a refusal has in whichever form it is told."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def plain_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer to what is no request of ours, or not handled as it should."""
    return Answer(status, msgspec.json.encode({"error": {"code": code, "message": message}}), headers=headers)


def count(counters: Counters, status: int) -> None:
    """Count an error by its status."""
    counters.add(_COUNTED.get(status, "inferwatch_collector_refused_total"))
