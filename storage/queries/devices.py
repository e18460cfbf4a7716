"""What model servers say of their GPUs, and of the processors and the memory of their machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from storage.queries.reader import Reader
from storage.queries.records import columns, moment, record
from storage.queries.scope import ANY, Filters, TimeRange
from storage.queries.statement import of_model, select


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, by its UUID, or `cpu`, all processors and the memory of a server's machine.

    `utilisation` (0 to 1), `power` (watts) and memory (bytes) are what was read last, at `at`; `energy` is joules of
    the whole range. None: not told.
    """

    environment: str
    instance: str
    device: str
    at: datetime
    utilisation: float | None
    mean_utilisation: float | None
    memory_used: float | None
    memory_total: float | None
    power: float | None
    power_limit: float | None
    energy: float | None


def devices(reader: Reader, range: TimeRange, filters: Filters = ANY) -> list[Device]:
    """Return each device that servers told of in the range, GPUs first. Of the filters, environment applies."""
    where = of_model(range, Filters(environment=filters.environment)).add("t.device != ''")
    last = {name: f"argMax(t.{name}, t.at)" for name in ("utilisation", "memory_used", "memory_total", "power_limit")}
    asked = columns(Device, {"at": moment("max(t.at)"), "energy": "sum(t.energy)", **last})
    asked |= {"power": "argMax(t.power, t.at)", "mean_utilisation": "avg(t.utilisation)"}
    rest = "GROUP BY environment, instance, device ORDER BY device = 'cpu', instance, device"
    return [record(Device, row) for row in reader.rows(select(asked, "server_samples", where, rest), where.parameters)]
