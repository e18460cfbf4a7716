"""What can go wrong here.

ServingError
├── SettingInvalid       a setting cannot work
├── ModelUnknown         a model to load is not in the repository
├── PackageMissing       a Python package is not installed
├── PackageUnfit         a Python package is installed in a version that cannot work
├── FileMissing          an installed package lacks a file, or the system a library
├── PortTaken            something else listens on a port
├── EmbedderUnavailable  no embeddings could be had
├── TritonUnreachable    nobody answers at Triton's address
└── ControlFailed        Triton refused to load, unload or describe a model
"""

from __future__ import annotations

from collections.abc import Sequence


class ServingError(Exception):
    """Base of everything this package raises on purpose."""


class SettingInvalid(ServingError):
    """A setting cannot work; `rule` says what would."""

    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(f"setting {name}={value!r} cannot work: {rule}")
        self.name, self.value, self.rule = name, value, rule


class ModelUnknown(ServingError):
    """A model to load at start is not in the model repository."""

    def __init__(self, model: str, known: Sequence[str]) -> None:
        super().__init__(f"model '{model}' is not in the repository; there are: {', '.join(known) or 'none'}")
        self.model, self.known = model, tuple(known)


class PackageMissing(ServingError):
    """A Python package is not installed; `install` is the command that fixes it."""

    def __init__(self, package: str, install: str) -> None:
        super().__init__(f"package {package} is not installed; run: {install}")
        self.package, self.install = package, install


class PackageUnfit(ServingError):
    """A Python package is installed in a version that cannot work; `install` is the command that fixes it."""

    def __init__(self, package: str, found: str, wanted: str, install: str) -> None:
        super().__init__(f"package {package} is {found} but must be {wanted}; run: {install}")
        self.package, self.found, self.wanted, self.install = package, found, wanted, install


class FileMissing(ServingError):
    """A file that should be there is not; `remedy` says what to do."""

    def __init__(self, path: str, remedy: str) -> None:
        super().__init__(f"{path} does not exist; {remedy}")
        self.path, self.remedy = path, remedy


class PortTaken(ServingError):
    """Something else listens where Triton would."""

    def __init__(self, host: str, port: int, purpose: str) -> None:
        super().__init__(f"{host}:{port}, wanted for Triton's {purpose}, is taken; stop what uses it or choose another")
        self.host, self.port, self.purpose = host, port, purpose


class EmbedderUnavailable(ServingError):
    """No embeddings could be had; `retryable` is false when the same texts would fail again."""

    def __init__(self, model: str, url: str, reason: str, *, retryable: bool) -> None:
        super().__init__(f"no embeddings from model '{model}' at {url}: {reason}")
        self.model, self.url, self.reason, self.retryable = model, url, reason, retryable


class TritonUnreachable(ServingError):
    """Nobody answers at Triton's address, or not in time."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"Triton at {url} does not answer: {reason}")
        self.url, self.reason = url, reason


class ControlFailed(ServingError):
    """Triton refused to load, unload or describe a model."""

    def __init__(self, action: str, model: str, url: str, reason: str) -> None:
        super().__init__(f"could not {action} model '{model}' on Triton at {url}: {reason}")
        self.action, self.model, self.url, self.reason = action, model, url, reason
