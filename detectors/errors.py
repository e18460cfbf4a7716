"""What the detectors raise.

DetectorError
├── BadSetting        a setting is outside its range            name, value, rule
├── BadInput          a value, embedding or span cannot be used  what, where, rule
├── BadSnapshot       a saved state is not one of ours           detector, reason
└── MissingBackend    an optional package is not installed       package, extra, note
"""

from __future__ import annotations


class DetectorError(Exception):
    """Any error of this package."""


class BadSetting(DetectorError, ValueError):
    """A setting is outside its range."""

    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(f"{name}={value!r}: {rule}")
        self.name, self.value, self.rule = name, value, rule


class BadInput(DetectorError, ValueError):
    """A value, embedding or span cannot be used; the detector's state has not changed."""

    def __init__(self, what: str, where: str, rule: str) -> None:
        super().__init__(f"{what} at {where}: {rule}")
        self.what, self.where, self.rule = what, where, rule


class BadSnapshot(DetectorError, ValueError):
    """A saved state is damaged, or of another detector, version or setting."""

    def __init__(self, detector: str, reason: str) -> None:
        super().__init__(f"cannot restore {detector}: {reason}; start it afresh or use the snapshot that belongs to it")
        self.detector, self.reason = detector, reason


class MissingBackend(DetectorError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, note: str) -> None:
        super().__init__(f"{package} is not installed: pip install '{extra}'. {note}")
        self.package, self.extra, self.note = package, extra, note
