"""What the wiring can raise; `app.cli` shows each as one sentence and exits with 2.

AppError
├── SettingsError        an environment variable has a value that cannot work
├── PortTaken            something else listens where a service of ours would
├── DemoTooSlow          the machine is too slow for the demo to mean anything
├── FolderNotEmpty       a folder that must be fresh holds something
├── ServiceFailed        a service ended, or was not ready in time
└── local brokers' own errors, see `app.local.errors`
"""

from __future__ import annotations

from pathlib import Path
from typing import Final


class AppError(Exception):
    """Base of everything this package raises."""


_SECRET: Final = ("PASSWORD", "SECRET", "WEBHOOK", "TOKEN")


class SettingsError(AppError):
    """An environment variable has a value that cannot work. Secrets are not shown."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        # A URL may carry a user and a password before its host.
        secret = any(word in variable for word in _SECRET) or "@" in value
        shown = "a value that is not shown" if secret else repr(value)
        super().__init__(f"{variable} is {shown}; expected {expected}")
        self.variable = variable
        self.expected = expected


class PortTaken(AppError):
    """Something else listens on `host:port`, where `service` would."""

    def __init__(self, service: str, host: str, port: int, variable: str) -> None:
        super().__init__(f"{host}:{port}, the port of {service}, is taken. Stop what uses it, or set {variable}.")
        self.service = service
        self.host = host
        self.port = port
        self.variable = variable


class DemoTooSlow(AppError):
    """Only `made` inferences in `seconds`, where a reference for drift takes `needed`."""

    def __init__(self, made: int, needed: int, seconds: float) -> None:
        super().__init__(
            f"Only {made} inferences were stored in {seconds:.0f} s, and the demo needs {needed} before its incidents. "
            "The machine is too slow or too busy: end what else runs on it, then try again."
        )
        self.made = made
        self.needed = needed
        self.seconds = seconds


class FolderNotEmpty(AppError):
    """What an earlier run left in `folder` would be counted with what this one does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not empty, and its events would be counted too. Empty it, or name another.")
        self.folder = folder


class ServiceFailed(AppError):
    """A service ended, or was not ready in time; `log` is where it says why and `tail` its last lines."""

    def __init__(self, service: str, reason: str, log: Path, tail: str) -> None:
        super().__init__(f"{service} {reason}. Its log is {log}, which ends with:\n{tail}")
        self.service = service
        self.reason = reason
        self.log = log
        self.tail = tail
