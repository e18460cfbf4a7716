"""What the ways in can raise: while starting, and while reading what passed; never into the traffic itself.

IngestError
├── SettingError        a setting has a value that cannot work
├── ListenError         an address cannot be listened on
│   └── PortTakenError  because something else listens there already
└── ContentError        what passed is not what its route promises
"""

from __future__ import annotations


class IngestError(Exception):
    """Base of everything this package raises."""


class SettingError(IngestError):
    """A setting has a value that cannot work."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} is {value!r}; expected {expected}")
        self.name = name
        self.value = value
        self.expected = expected


class ListenError(IngestError):
    """An address cannot be listened on; `setting` names the setting that holds its port."""

    def __init__(self, setting: str, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port} ({setting}): {reason}")
        self.setting = setting
        self.host = host
        self.port = port
        self.reason = reason


class PortTakenError(ListenError):
    """Something else listens there already."""

    def __init__(self, setting: str, host: str, port: int) -> None:
        super().__init__(setting, host, port, "the port is taken; stop what listens there or choose another port")


class ContentError(IngestError):
    """What passed is not what its route promises; `where` names the part, `reason` never quotes it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason
