"""What a scraper counts about itself, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

from ingest.counters import type_line
from ingest.scraper.outbox import OutboxStats
from ingest.scraper.watched import Watched

ServerMetric = Literal[
    # Looks at a server, those that failed included.
    "inferwatch_scraper_scrapes_total",
    # Looks that failed; what a server counted meanwhile is in the next one that does not.
    "inferwatch_scraper_failed_scrapes_total",
    # How often counters of a model or a device began anew, because the server or the model did.
    "inferwatch_scraper_resets_total",
    # Samples made of a server.
    "inferwatch_scraper_samples_total",
    # When a server answered last, Unix seconds; left out until it does.
    "inferwatch_scraper_last_success_timestamp_seconds",
]
OutboxMetric = Literal[
    # Samples that Kafka has.
    "inferwatch_scraper_sent_total",
    # Samples dropped because Kafka was away for too long.
    "inferwatch_scraper_dropped_total",
    # Samples that Kafka refused.
    "inferwatch_scraper_failed_total",
    # Samples that wait for Kafka now.
    "inferwatch_scraper_waiting",
]

SERVER_METRICS: Final[tuple[ServerMetric, ...]] = get_args(ServerMetric)
OUTBOX_METRICS: Final[tuple[OutboxMetric, ...]] = get_args(OutboxMetric)


def exposition(watched: Sequence[Watched], outbox: OutboxStats) -> str:
    """Return everything that is counted in text format 0.0.4; names that end in `_total` are counters."""
    return "\n".join(_lines(watched, outbox)) + "\n"


def _lines(watched: Sequence[Watched], outbox: OutboxStats) -> Iterator[str]:
    for name in SERVER_METRICS:
        yield type_line(name)
        for one in watched:
            value = _of_server(name, one)
            if value is not None:
                yield f'{name}{{server="{_escaped(one.server.metrics)}"}} {value}'
    totals = dict(zip(OUTBOX_METRICS, (outbox.sent, outbox.dropped, outbox.failed, outbox.waiting), strict=True))
    for total, count in totals.items():
        yield type_line(total)
        yield f"{total} {count}"


def _of_server(name: ServerMetric, watched: Watched) -> float | None:
    match name:
        case "inferwatch_scraper_scrapes_total":
            return watched.scrapes
        case "inferwatch_scraper_failed_scrapes_total":
            return watched.failed
        case "inferwatch_scraper_resets_total":
            return watched.resets
        case "inferwatch_scraper_samples_total":
            return watched.samples
        case "inferwatch_scraper_last_success_timestamp_seconds":
            return watched.last_success


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
