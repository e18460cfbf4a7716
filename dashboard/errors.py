"""What the dashboard can raise.

DashboardError
└── BadConfig     the launcher's settings are missing or cannot be read
"""

from __future__ import annotations


class DashboardError(Exception):
    """Base of everything this package raises."""


class BadConfig(DashboardError):
    """The environment variable `name` does not hold what the launcher writes into it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}. Start the dashboard with `inferwatch dashboard`, which sets it.")
        self.name = name
        self.reason = reason
