"""Models, devices and losses as rows of texts with units."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import pandas as pd

from dashboard import formatting as fmt
from dashboard.views import energy_panel
from storage.queries import Device, Loss, ServedModel


def models(found: Sequence[ServedModel], now: datetime) -> pd.DataFrame:
    """Return models as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "model": one.model,
                "environment": one.environment,
                "requests": fmt.count(one.load.requests),
                "rate": fmt.NOTHING if one.load.rate is None else fmt.rate_of(one.load.rate),
                "queue": fmt.seconds(one.load.queue),
                "compute": fmt.seconds(one.load.compute),
                "queueing": fmt.share(one.load.queue_share),
                "waiting": fmt.number(one.load.pending),
                "failed": fmt.count(one.load.failed),
                "batch": fmt.number(one.load.batch),
                "heard": fmt.ago(one.heard, now),
            }
            for one in found
        ]
    )


def devices(found: Sequence[Device], now: datetime) -> pd.DataFrame:
    """Return devices as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "device": one.device,
                "server": one.instance,
                "use": fmt.share(one.utilisation),
                "use, mean": fmt.share(one.mean_utilisation),
                "memory": _of(one.memory_used, one.memory_total, 2**30, "GiB", digits=1),
                "power": _of(one.power, one.power_limit, 1, "W"),
                "energy": energy_panel.NOT_REPORTED if one.energy is None else energy_panel.energy(one.energy),
                "environment": one.environment,
                "heard": fmt.ago(one.at, now),
            }
            for one in found
        ]
    )


def losses(found: Sequence[Loss], now: datetime, zone: tzinfo) -> pd.DataFrame:
    """Return losses as rows of texts with units."""
    return pd.DataFrame(
        [
            {
                "source": one.source,
                "service": fmt.named(one.service, "service"),
                "dropped": fmt.count(one.dropped),
                "failed": fmt.count(one.failed),
                "because": ", ".join(f"{reason}: {fmt.count(number)}" for reason, number in one.reasons.items()),
                "mirrors": fmt.count(one.mirrors),
                "last told": fmt.clock(one.last, now, zone),
                "environment": one.environment,
            }
            for one in found
        ]
    )


def _of(amount: float | None, most: float | None, size: float, unit: str, digits: int = 0) -> str:
    """Return an amount and the most there can be, as far as they are known."""
    if amount is None:
        return fmt.NOTHING
    text = f"{amount / size:,.{digits}f}"
    return f"{text} {unit}" if most is None else f"{text} of {most / size:,.{digits}f} {unit}"
