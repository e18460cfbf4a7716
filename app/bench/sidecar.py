"""What the sidecar adds: latency at a steady rate and the highest rate, direct against through, nginx beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import uvloop

from app.bench.proxy import messages
from app.bench.proxy.ground import Ground, ground
from app.bench.proxy.load import GrpcTarget, HttpTarget, Sample, Target, as_many, at_rate
from app.bench.result import Outcome, Say

RATE: Final = 500
_ROUND_SECONDS: Final = 4.0
_AT_ONCE: Final = 32
_RATE_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Way:
    """One way to the upstream, and what was measured on it."""

    target: Target
    sample: Sample = field(default_factory=Sample)
    rate: float = 0.0


def run(say: Say, *, rate: int = RATE, rounds: int = 5) -> Outcome:
    """Measure each protocol, with rounds of all ways in turn, so that a slow moment of the machine falls on each."""
    figures: dict[str, float] = {}
    with ground(say) as servers:
        for name, ways in _protocols(servers).items():
            say(f"Measuring {name}: {rounds} rounds of {len(ways)} ways at {rate} a second, then as many as can be")
            uvloop.run(_measure(ways, rate / (messages.PIECES / 2 if "stream" in name else 1), rounds))
            figures |= _figures(name, ways)
    return Outcome({"rate": rate, "rounds": rounds, "connections": _AT_ONCE}, figures)


def _protocols(servers: Ground) -> dict[str, dict[str, _Way]]:
    def http(route: str) -> dict[str, _Way]:
        request = messages.http_request(route)
        ports = {"direct": servers.upstream_http, "through": servers.sidecar_http, "nginx": servers.nginx}
        return {name: _Way(HttpTarget(port, request)) for name, port in ports.items() if port is not None}

    def grpc(method: str) -> dict[str, _Way]:
        message = messages.grpc_request()
        ports = {"direct": servers.upstream_grpc, "through": servers.sidecar_grpc}
        return {name: _Way(GrpcTarget(port, method, message)) for name, port in ports.items()}

    return {
        "http": http("generate"),
        "stream": http("generate_stream"),
        "grpc": grpc(messages.METHOD),
        "grpc_stream": grpc(messages.STREAM_METHOD),
    }


async def _measure(ways: dict[str, _Way], rate: float, rounds: int) -> None:
    for way in ways.values():
        await at_rate(way.target, rate, 1.0)
    for _ in range(rounds):
        for way in ways.values():
            way.sample.calls += (await at_rate(way.target, rate, _ROUND_SECONDS)).calls
    for way in ways.values():
        way.rate = await as_many(way.target, _AT_ONCE, _RATE_SECONDS)


def _figures(name: str, ways: dict[str, _Way]) -> dict[str, float]:
    direct, through = ways["direct"], ways["through"]
    figures = {
        f"{name}_direct_ms_p50": direct.sample.milliseconds(0.5),
        f"{name}_added_ms_p50": through.sample.milliseconds(0.5) - direct.sample.milliseconds(0.5),
        f"{name}_added_ms_p99": through.sample.milliseconds(0.99) - direct.sample.milliseconds(0.99),
        f"{name}_rps": through.rate,
        f"{name}_direct_rps": direct.rate,
        f"{name}_failures": float(through.sample.failures),
    }
    if "stream" in name:
        first = [way.sample.milliseconds(0.5, first=True) for way in (direct, through)]
        figures[f"{name}_added_first_ms_p50"] = first[1] - first[0]
    if "nginx" in ways:
        prefix = "nginx" if name == "http" else f"nginx_{name}"
        figures[f"{prefix}_rps"] = ways["nginx"].rate
        for quantile, label in ((0.5, "p50"), (0.99, "p99")):
            added = ways["nginx"].sample.milliseconds(quantile) - direct.sample.milliseconds(quantile)
            figures[f"{prefix}_added_ms_{label}"] = added
    return figures
