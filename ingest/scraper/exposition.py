"""Triton's metrics, in Prometheus' text format, as readings.

After Triton's documentation (server repository, docs/user_guide/metrics.md) and source (core repository,
src/metrics.cc). The latter sets power, power limit and memory to 0, and leaves energy there, where the GPU does not
answer; so a 0 of those is nothing that was measured. A model has a series for each GPU that it runs on, and for each
namespace; those of one version add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ingest.errors import ContentError
from ingest.scraper.readings import FAILURES, TOO_LARGE, UNKNOWN_REASON, Reading, Subject, believable

CPU: Final = "cpu"

_MODEL_COUNTERS: Final[Mapping[str, tuple[str, int]]] = {
    "nv_inference_request_success": ("requests", 1),
    "nv_inference_count": ("inferences", 1),
    "nv_inference_exec_count": ("executions", 1),
    "nv_inference_request_duration_us": ("request_time", 1_000),
    "nv_inference_queue_duration_us": ("queue_time", 1_000),
    "nv_inference_compute_input_duration_us": ("compute_input_time", 1_000),
    "nv_inference_compute_infer_duration_us": ("compute_infer_time", 1_000),
    "nv_inference_compute_output_duration_us": ("compute_output_time", 1_000),
    "nv_cache_num_hits_per_model": ("cache_hits", 1),
    "nv_cache_num_misses_per_model": ("cache_misses", 1),
}
"""Counters by model, each with our name and what its unit is in ours."""

_GPU_LEVELS: Final = {
    "nv_gpu_utilization": "utilisation",
    "nv_gpu_memory_used_bytes": "memory_used",
    "nv_gpu_memory_total_bytes": "memory_total",
    "nv_gpu_power_usage": "power",
    "nv_gpu_power_limit": "power_limit",
}
_CPU_LEVELS: Final = {
    "nv_cpu_utilization": "utilisation",
    "nv_cpu_memory_used_bytes": "memory_used",
    "nv_cpu_memory_total_bytes": "memory_total",
}
_NEVER_ZERO: Final = frozenset({"memory_used", "memory_total", "power", "power_limit"})


def read_exposition(text: str) -> dict[Subject, Reading]:
    """Return readings of models and devices. Metrics that are not known here are passed over.

    Raises:
        ContentError: this is not the text format, or tells numbers that cannot be.
    """
    found: dict[Subject, Reading] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    _add(found, sample)
    except OverflowError as error:
        raise ContentError("metrics", TOO_LARGE) from error
    except (ValueError, KeyError, IndexError) as error:
        raise ContentError("metrics", f"not Prometheus' text format: {type(error).__name__}") from error
    return believable(found, "metrics")


def _add(found: dict[Subject, Reading], sample: Sample) -> None:
    # The parser ends the names of counters as OpenMetrics would; Triton does not.
    labels, name = sample.labels, sample.name.removesuffix("_total")
    model = Subject(labels.get("model", ""), labels.get("version", ""))
    if name in _MODEL_COUNTERS:
        ours, factor = _MODEL_COUNTERS[name]
        _count(_reading(found, model), ours, sample.value * factor)
    elif name == "nv_inference_request_failure":
        reason = labels.get("reason") or UNKNOWN_REASON
        _count(_reading(found, model), FAILURES + reason, sample.value)
    elif name == "nv_inference_pending_request_count":
        levels = _reading(found, model).levels
        levels["pending"] = levels.get("pending", 0.0) + sample.value
    elif name in _CPU_LEVELS:
        _level(_reading(found, Subject(device=CPU)), _CPU_LEVELS[name], sample.value)
    elif name in _GPU_LEVELS:
        _level(_reading(found, Subject(device=labels["gpu_uuid"])), _GPU_LEVELS[name], sample.value)
    elif name == "nv_energy_consumption" and sample.value > 0:
        _reading(found, Subject(device=labels["gpu_uuid"])).counters["energy"] = round(sample.value * 1_000)


def _reading(found: dict[Subject, Reading], subject: Subject) -> Reading:
    return found.setdefault(subject, Reading())


def _count(reading: Reading, name: str, value: float) -> None:
    reading.counters[name] = reading.counters.get(name, 0) + round(value)


def _level(reading: Reading, name: str, value: float) -> None:
    if value > 0 or name not in _NEVER_ZERO:
        reading.levels[name] = value
