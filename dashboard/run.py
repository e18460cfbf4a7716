"""The command that starts the dashboard."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dashboard.config import VARIABLE, DashboardSettings, dump

ROOT: Final = Path(__file__).resolve().parent.parent
HEALTH: Final = "/_stcore/health"
"""Path that answers 200 once the dashboard takes requests."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start: its arguments and what its environment needs on top of the launcher's own."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def command(settings: DashboardSettings) -> Launch:
    """Return how to start the dashboard with the interpreter that runs this."""
    options = {
        "server.address": settings.host,
        "server.port": str(settings.port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "type",
        # A theme of its own for each, or Streamlit no longer follows the system's choice of light or dark.
        "theme.light.primaryColor": "#2f7de1",
        "theme.dark.primaryColor": "#5b9df0",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Launch(
        (sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "main.py"), *arguments),
        {VARIABLE: dump(settings), "PYTHONPATH": str(ROOT)},
    )


def url(settings: DashboardSettings) -> str:
    """Return the address to open in a browser."""
    return f"http://{settings.host}:{settings.port}"
