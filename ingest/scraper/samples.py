"""What was added, and how things stand, as events."""

from __future__ import annotations

from typing import Any, Final

from inferwatch import ServerSample, new_event_id
from ingest.scraper.increases import Increase
from ingest.scraper.readings import FAILURES

_NANOSECONDS: Final = ("request_time", "queue_time", "compute_input_time", "compute_infer_time", "compute_output_time")
_LEVELS: Final = ("utilisation", "memory_used", "memory_total", "power", "power_limit")


def sample_of(increase: Increase, at: float, interval: float, instance: str, environment: str) -> ServerSample:
    """Return the event of one subject: what was added in the `interval` seconds before `at`, Unix time."""
    added, levels, subject = increase.counters, increase.levels, increase.subject
    told: dict[str, Any] = {name: added[name] / 1e9 for name in _NANOSECONDS if name in added}
    told |= {name: levels[name] for name in _LEVELS if name in levels}
    if "pending" in levels:
        told["pending"] = round(levels["pending"])
    if "energy" in added:
        told["energy"] = added["energy"] / 1e3
    return ServerSample(
        sample_id=new_event_id(),
        at=at,
        interval=interval,
        instance=instance,
        environment=environment,
        model=subject.model,
        model_version=subject.version,
        device=subject.device,
        requests=added.get("requests", 0),
        failures={name.removeprefix(FAILURES): n for name, n in added.items() if n and name.startswith(FAILURES)},
        inferences=added.get("inferences", 0),
        executions=added.get("executions", 0),
        cache_hits=added.get("cache_hits"),
        cache_misses=added.get("cache_misses"),
        **told,
    )


def key_of(sample: ServerSample) -> bytes:
    """Return the Kafka key: everything of one environment and model is in one partition, devices as of no model."""
    return f"{sample.environment}/{sample.model}".encode("utf-8", "replace")
