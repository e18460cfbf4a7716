"""What the launcher hands to the Streamlit process: one environment variable with JSON in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from dashboard.errors import BadConfig
from storage.client import StoreSettings
from storage.queries.energy import EnergyPrices

VARIABLE: Final = "INFERWATCH_DASHBOARD_CONFIG"


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Where the dashboard listens and what it reads.

    `host` stays on loopback unless someone decides otherwise: the pages have no login of their own. `slack_url` is
    where a person answers alerts; it is only linked to. `energy` is what a kilowatt-hour stands for.
    """

    store: StoreSettings = field(default_factory=StoreSettings)
    host: str = "127.0.0.1"
    port: int = 8501
    refresh_seconds: float = 2.0
    slack_url: str | None = None
    energy: EnergyPrices = field(default_factory=EnergyPrices)


def dump(settings: DashboardSettings) -> str:
    """Return the JSON that `load` reads."""
    return msgspec.json.encode(settings).decode()


def load(environment: Mapping[str, str]) -> DashboardSettings:
    """Return the settings in `VARIABLE`; what is left out has its default.

    Raises:
        BadConfig: the variable is missing or holds something else.
    """
    if VARIABLE not in environment:
        raise BadConfig(VARIABLE, "is not set")
    try:
        return msgspec.json.decode(environment[VARIABLE], type=DashboardSettings)
    except msgspec.MsgspecError as error:
        raise BadConfig(VARIABLE, f"cannot be read: {error}") from error
