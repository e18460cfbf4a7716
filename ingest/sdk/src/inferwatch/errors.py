"""What the SDK can raise, all of it at configuration time or while decoding; never while mirroring.

InferwatchError
├── SettingError        a setting has a value that cannot work
├── UnknownClientError  (inferwatch.wrappers) what was given is no client that can be wrapped
└── WireError           bytes that are not a record of events
    └── EventError      one line of a record that is not a valid event
"""

from __future__ import annotations


class InferwatchError(Exception):
    """Base of everything this package raises."""


class SettingError(InferwatchError):
    """A setting has a value that cannot work."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} is {value!r}; expected {expected}")
        self.name = name
        self.value = value
        self.expected = expected


class WireError(InferwatchError):
    """Bytes that are not a record of events."""


class EventError(WireError):
    """One line of a record that is not a valid event.

    `index` counts lines from 0; `reason` says what is wrong and where, as a path such as `$.duration`;
    it never quotes the content.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"event {index}: {reason}")
        self.index = index
        self.reason = reason
