"""What the store might say of model servers, for tests of their page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dashboard.views import servers
from storage.queries import Device, EnergyBill, Load, LoadPoint, Loss, ModelEnergy, ServedModel
from tests.unit.dashboard.snapshots import NOW, RANGE, SCOPE

GPU = "GPU-11111111-2222-3333-4444-555555555555"
REASONS = {"memory full": 40, "timed out": 2}


def load(queue: float, compute: float, requests: int = 100, **values: Any) -> Load:
    """What was done when requests waited and were computed so many seconds each, on average."""
    given: dict[str, Any] = {
        "requests": requests,
        "timed": requests,
        "rate": requests / 900,
        "inferences": 4 * requests,
        "executions": 2 * requests,
        "pending": 2.5,
        "request_time": (queue + compute) * requests,
        "queue_time": queue * requests,
        "compute_input_time": 0.0,
        "compute_infer_time": compute * requests,
        "compute_output_time": 0.0,
    }
    return Load(**given | values)


def model(**values: Any) -> ServedModel:
    given: dict[str, Any] = {
        "environment": "production",
        "model": "smollm2",
        "load": load(3.0, 1.0, failures={"REJECTED": 7, "BACKEND": 1}),
        "heard": NOW - timedelta(seconds=4),
    }
    return ServedModel(**given | values)


def device(**values: Any) -> Device:
    given: dict[str, Any] = {
        "environment": "production",
        "instance": "triton:8002",
        "device": GPU,
        "at": NOW - timedelta(seconds=4),
        "utilisation": 0.87,
        "mean_utilisation": 0.5,
        "memory_used": 4.0 * 2**30,
        "memory_total": 139.0 * 2**30,
        "power": 412.5,
        "power_limit": 700.0,
        "energy": 371_250.0,
    }
    return Device(**given | values)


def share(**values: Any) -> ModelEnergy:
    given: dict[str, Any] = {
        "model": "smollm2",
        "joules": 180_000.0,
        "known_share": 1.0,
        "requests": 100,
        "counted": 100,
        "output_tokens": 50_000,
    }
    return ModelEnergy(**given | values)


def busy(**values: Any) -> servers.Snapshot:
    one = model()
    given: dict[str, Any] = {
        "now": NOW,
        "range": RANGE,
        "models": (one, model(model="minilm", load=load(0.001, 0.02), environment="")),
        "chosen": one,
        "seen": None,
        "before": load(0.5, 1.0),
        "points": tuple(LoadPoint(at, one.load) for at in RANGE.steps(servers.step_of(SCOPE))),
        "devices": (device(), device(device="cpu", power=None, power_limit=None, energy=None)),
        "bill": EnergyBill(371_250.0, (share(),)),
        "losses": (
            Loss(
                "production", "sdk", "shop", 40, 2, 3, NOW - timedelta(minutes=2), {"memory full": 40, "timed out": 2}
            ),
        ),
    }
    return servers.Snapshot(**given | values)


def quiet() -> servers.Snapshot:
    return servers.Snapshot(NOW, RANGE, (), None, Load(), None, (), (), EnergyBill(None, ()), ())


def untold() -> servers.Snapshot:
    """A server without GPUs, whose model did nothing, and mirrors that lost nothing."""
    idle = model(load=Load(rate=0.0))
    points = tuple(LoadPoint(at, Load()) for at in RANGE.steps(servers.step_of(SCOPE)))
    cpu = device(device="cpu", power=None, power_limit=None, energy=None)
    return busy(
        models=(idle,),
        chosen=idle,
        points=points,
        devices=(cpu,),
        bill=EnergyBill(None, (share(joules=None),)),
        losses=(),
    )
