"""What Triton says, in the form of its documentation: metrics of models and GPUs, and statistics of models."""

from __future__ import annotations

import json
from typing import Any

GPU = "GPU-11111111-2222-3333-4444-555555555555"
BROKEN_GPU = "GPU-66666666-7777-8888-9999-000000000000"

METRICS = f"""\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="resnet",version="3"}} 161
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{{model="resnet",reason="OTHER",version="3"}} 1
nv_inference_request_failure{{model="resnet",reason="BACKEND",version="3"}} 2
nv_inference_request_failure{{model="resnet",reason="CANCELED",version="3"}} 3
nv_inference_request_failure{{model="resnet",reason="REJECTED",version="3"}} 4
# TYPE nv_inference_count counter
nv_inference_count{{model="resnet",version="3"}} 1288
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{{model="resnet",version="3"}} 40
# TYPE nv_inference_request_duration_us counter
nv_inference_request_duration_us{{model="resnet",version="3"}} 1.61e+07
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{{model="resnet",version="3"}} 11110
# TYPE nv_inference_compute_input_duration_us counter
nv_inference_compute_input_duration_us{{model="resnet",version="3"}} 500
# TYPE nv_inference_compute_infer_duration_us counter
nv_inference_compute_infer_duration_us{{model="resnet",version="3"}} 15000000
# TYPE nv_inference_compute_output_duration_us counter
nv_inference_compute_output_duration_us{{model="resnet",version="3"}} 700
# TYPE nv_cache_num_hits_per_model counter
nv_cache_num_hits_per_model{{model="resnet",version="3"}} 5
# TYPE nv_cache_num_misses_per_model counter
nv_cache_num_misses_per_model{{model="resnet",version="3"}} 156
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{model="resnet",version="3"}} 12
# TYPE nv_pinned_memory_pool_used_bytes gauge
nv_pinned_memory_pool_used_bytes 0
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{{gpu_uuid="{GPU}"}} 0.87
nv_gpu_utilization{{gpu_uuid="{BROKEN_GPU}"}} 0
# TYPE nv_gpu_memory_total_bytes gauge
nv_gpu_memory_total_bytes{{gpu_uuid="{GPU}"}} 150754820096
nv_gpu_memory_total_bytes{{gpu_uuid="{BROKEN_GPU}"}} 0
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{{gpu_uuid="{GPU}"}} 4.1e+09
nv_gpu_memory_used_bytes{{gpu_uuid="{BROKEN_GPU}"}} 0
# TYPE nv_gpu_power_usage gauge
nv_gpu_power_usage{{gpu_uuid="{GPU}"}} 412.519
nv_gpu_power_usage{{gpu_uuid="{BROKEN_GPU}"}} 0
# TYPE nv_gpu_power_limit gauge
nv_gpu_power_limit{{gpu_uuid="{GPU}"}} 700
nv_gpu_power_limit{{gpu_uuid="{BROKEN_GPU}"}} 0
# HELP nv_energy_consumption GPU energy consumption in joules since the Triton Server started
# TYPE nv_energy_consumption counter
nv_energy_consumption{{gpu_uuid="{GPU}"}} 90123.456
nv_energy_consumption{{gpu_uuid="{BROKEN_GPU}"}} 0
# TYPE nv_cpu_utilization gauge
nv_cpu_utilization 0.25
# TYPE nv_cpu_memory_total_bytes gauge
nv_cpu_memory_total_bytes 25276510208
# TYPE nv_cpu_memory_used_bytes gauge
nv_cpu_memory_used_bytes 763482112
"""

ON_TWO_GPUS = f"""\
# TYPE nv_inference_request_success counter
nv_inference_request_success{{gpu_uuid="{GPU}",model="bert",version="1"}} 151
nv_inference_request_success{{gpu_uuid="{BROKEN_GPU}",model="bert",version="1"}} 149
nv_inference_request_success{{model="bert",version="1"}} 0
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{{gpu_uuid="{GPU}",model="bert",reason="BACKEND",version="1"}} 2
nv_inference_request_failure{{gpu_uuid="{BROKEN_GPU}",model="bert",reason="BACKEND",version="1"}} 3
nv_inference_request_failure{{model="bert",reason="REJECTED",version="1"}} 4
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{{gpu_uuid="{GPU}",model="bert",version="1"}} 10
nv_inference_queue_duration_us{{gpu_uuid="{BROKEN_GPU}",model="bert",version="1"}} 20
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{namespace="a",model="bert",version="1"}} 5
nv_inference_pending_request_count{{namespace="b",model="bert",version="1"}} 7
"""
"""One model with an instance on each of two GPUs, and in two namespaces: each is a series of its own."""


def statistics(name: str = "resnet", version: str = "3", **changes: Any) -> dict[str, Any]:
    """Return what `/v2/models/stats` says of one model; `changes` replace members of `inference_stats`."""
    stats = {
        "success": {"count": 160, "ns": 16_000_000_999},
        "fail": {"count": 10, "ns": 5_000},
        "queue": {"count": 160, "ns": 11_110_222},
        "compute_input": {"count": 155, "ns": 500_333},
        "compute_infer": {"count": 155, "ns": 15_000_000_444},
        "compute_output": {"count": 155, "ns": 700_555},
        "cache_hit": {"count": 5, "ns": 10},
    }
    return {
        "name": name,
        "version": version,
        "last_inference": 1_795_188_760_286,
        "inference_count": 1_280,
        "execution_count": 39,
        "inference_stats": stats | changes,
        "batch_stats": [],
    }


def answer(*models: dict[str, Any]) -> bytes:
    """Return the body of `/v2/models/stats`."""
    return json.dumps({"model_stats": list(models)}).encode()
