"""What the ways in can raise: while starting, and while reading what passed; never into the traffic itself.

IngestError
├── SettingError        a setting has a value that cannot work
├── ListenError         an address cannot be listened on
│   └── PortTakenError  because something else listens there already
├── KeysRequired        a collector that others can reach has no API keys
├── KeyFileError        the file with API keys cannot be used
├── UnknownKey          there is no API key with that id
├── OutletFailed        the connection to Kafka failed for good
├── ContentError        what passed is not what its route promises
├── ScrapeError         a model server could not be asked how it goes
├── ReplayError         a file of traffic cannot be replayed, see `ingest.replay.errors`
└── Refused             a request to the collector is answered with an error, whose `status` and `code` it carries
    ├── Unauthenticated     401: no key, or none that is valid now
    ├── TimedOut            408: the body did not come in time
    ├── KeyReused           422: an idempotency key that was used for another body
    ├── TooLarge            413: more than a request may have
    ├── WrongMediaType      415: a content type or coding that is not understood here
    ├── Malformed           400: a body that is not what its content type says
    ├── Invalid             422: an event that cannot be taken; `index` and `path` say which and where
    ├── TooMany             429: more than a key may send a second
    └── Unavailable         503: not now; nothing is promised about what was sent
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


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


class ScrapeError(IngestError):
    """The model server `server`, an address, could not be asked how it goes."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"model server {server}: {reason}")
        self.server = server
        self.reason = reason


class KeysRequired(IngestError):
    """A collector that others can reach has no API keys."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"the collector would listen on {host} without API keys. Set INFERWATCH_API_KEYS to the file that "
            "`inferwatch api-keys create` writes, or INFERWATCH_COLLECTOR_OPEN=true where something else guards it"
        )
        self.host = host


class KeyFileError(IngestError):
    """The file with API keys cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}, the file with API keys, {reason}")
        self.path = path
        self.reason = reason


class UnknownKey(IngestError):
    """There is no API key with that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id!r}; `inferwatch api-keys list` shows those there are")
        self.key_id = key_id


class OutletFailed(IngestError):
    """The connection to Kafka failed for good; only a new process can make another."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Kafka's client has failed for good: {reason}")
        self.reason = reason


class Refused(IngestError):
    """A request to the collector is answered with an error; the message is shown to who sent it and quotes nothing."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    retry_after: int | None = None


class Unauthenticated(Refused):
    """No key was given, or none that is valid now."""

    status = 401
    code = "unauthenticated"


class TimedOut(Refused):
    """The body did not come in time."""

    status = 408
    code = "body_timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body did not arrive within {seconds:g} s")


class KeyReused(Refused):
    """An idempotency key came before, with another body."""

    status = 422
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for a request with another body")


class TooLarge(Refused):
    """A request, or one event, has more than `most` of a unit; `index` is the event's where it is one."""

    status = 413
    code = "too_large"

    def __init__(self, what: str, most: int, index: int | None = None, *, unit: str = "bytes") -> None:
        super().__init__(f"{what} has more than {most} {unit}")
        self.most = most
        self.index = index


class WrongMediaType(Refused):
    """A content type or coding that is not understood; `expected` lists those that are."""

    status = 415
    code = "unsupported_media_type"

    def __init__(self, header: str, expected: tuple[str, ...]) -> None:
        super().__init__(f"{header} must be one of {', '.join(expected)}")
        self.header = header
        self.expected = expected


class Malformed(Refused):
    """A body that is not what its content type says; `index` is the line's or element's where one is to blame."""

    status = 400
    code = "malformed"

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.index = index


class Invalid(Refused):
    """Event `index`, counted from 0, cannot be taken because of what is at `path`, such as `$.duration`."""

    status = 422
    code = "invalid_event"

    def __init__(self, index: int, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.index = index
        self.path = path
        self.reason = reason


class TooMany(Refused):
    """A key sends more than it may; trying again makes sense after `retry_after` seconds."""

    status = 429
    code = "rate_limited"

    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(f"more {what} than this key may send")
        self.retry_after = retry_after


class Unavailable(Refused):
    """Not now. What was sent may be stored all the same; the same request with its Idempotency-Key is stored once."""

    status = 503
    code = "unavailable"

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
