"""The sidecar under load while Kafka is gone: what clients notice of it, what is held, and what is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import Callable
from typing import Final

import uvloop

from app.bench.bed import resident_megabytes
from app.bench.proxy import messages
from app.bench.proxy.ground import Ground, ground
from app.bench.proxy.load import GrpcTarget, HttpTarget, Sample, at_rate
from app.bench.result import Outcome, Say

RATE: Final = 500
SECONDS: Final = 60
_SETTLE_SECONDS: Final = 60.0
_PREFIX: Final = "inferwatch_sidecar_"


def run(say: Say, *, rate: int = RATE, seconds: int = SECONDS) -> Outcome:
    """Load, half HTTP and half gRPC: Kafka there, then killed, then there again, each for so many seconds."""
    with ground(say, compare=False) as servers:
        return uvloop.run(_measure(servers, rate, seconds, say))


async def _measure(servers: Ground, rate: int, seconds: int, say: Say) -> Outcome:
    http = HttpTarget(servers.sidecar_http, messages.http_request("generate"))
    grpc = GrpcTarget(servers.sidecar_grpc, messages.METHOD, messages.grpc_request())
    memory = {"before": 0.0, "most": 0.0}

    async def load(duration: float) -> Sample:
        both = await asyncio.gather(at_rate(http, rate / 2, duration), at_rate(grpc, rate / 2, duration))
        memory["most"] = max(memory["most"], resident_megabytes(servers.sidecar_pid))
        return Sample([timed for sample in both for timed in sample.calls])

    say(f"Load of {rate} calls a second, first to warm up, then for {seconds} s with Kafka there")
    await load(10.0)
    memory["before"] = resident_megabytes(servers.sidecar_pid)
    there = await load(seconds)
    say(f"Killing Kafka; {seconds} s without it")
    os.kill(servers.bed.supervisor.pids()["broker"], signal.SIGKILL)
    servers.bed.supervisor.stop_some("broker")
    away = await load(seconds)
    say(f"Starting Kafka again; {seconds} s with it")
    servers.bed.start_broker()
    back = await load(seconds)
    counts = await _settled(servers)
    present = Sample(there.calls + back.calls)
    figures = {
        "p50_ms_with_kafka": present.milliseconds(0.5),
        "p50_ms_without": away.milliseconds(0.5),
        "p99_ms_with_kafka": present.milliseconds(0.99),
        "p99_ms_without": away.milliseconds(0.99),
        "p99_ratio": away.milliseconds(0.99) / present.milliseconds(0.99),
        "failed_requests": float(sum(sample.failures for sample in (there, away, back))),
        "rss_mb_before": memory["before"],
        "rss_growth_mb": memory["most"] - memory["before"],
        **{name: counts(name) for name in ("recorded_total", "mirrored_total", "dropped_total", "failed_total")},
        "unparsed_dropped_total": counts("unparsed_dropped_total"),
        "unaccounted_events": counts("inferences_total")
        - counts("unparsed_dropped_total")
        - counts("mirrored_total")
        - counts("dropped_total")
        - counts("failed_total"),
    }
    return Outcome({"rate": rate, "seconds": seconds}, figures)


async def _settled(servers: Ground) -> Callable[[str], float]:
    """Wait until nothing waits in the sidecar, and return what it has counted, by the name without the prefix."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
    while True:
        counts = await asyncio.to_thread(_scrape, servers.sidecar_admin)
        settled = sum(counts[_PREFIX + name] for name in ("mirrored_total", "dropped_total", "failed_total"))
        if settled + counts[_PREFIX + "unparsed_dropped_total"] == counts[_PREFIX + "inferences_total"]:
            break
        if asyncio.get_running_loop().time() > deadline:
            break  # what is unaccounted for is one of the figures
        await asyncio.sleep(0.2)
    return lambda name: counts[_PREFIX + name]


def _scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}
