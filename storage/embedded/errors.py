"""What the embedded server can raise.

StorageError
└── EmbeddedError
    ├── EngineMissing        the chdb package is not installed
    ├── EngineFailed         the engine cannot open its folder
    ├── PathInUse            another process owns the folder
    ├── PortInUse            something else listens on the address
    └── RequestError         answers one HTTP request with ClickHouse's error code and text
        ├── EngineError      the engine itself refused or failed the statement
        ├── StatementRefused the statement is malformed, or may not run here
        ├── UploadFailed     the request body is damaged, cut short or too large
        ├── SpaceMissing     the disk is full
        ├── NotAuthenticated wrong or missing user and password
        └── TooManyQueries   every place is taken, and so is the queue
"""

from __future__ import annotations

from pathlib import Path

from storage.errors import StorageError


class EmbeddedError(StorageError):
    """Base of everything the embedded server raises."""


class EngineMissing(EmbeddedError):
    """The engine's Python package is not installed."""

    def __init__(self) -> None:
        super().__init__("The embedded store needs the package chdb: pip install 'inferwatch-platform[embedded]'")


class EngineFailed(EmbeddedError):
    """The engine could not open `path`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The ClickHouse engine cannot open {path}: {reason}")
        self.path = path
        self.reason = reason


class PathInUse(EmbeddedError):
    """The process `pid` owns `path` already; one folder has one owner."""

    def __init__(self, path: Path, pid: int | None) -> None:
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"The store at {path} is in use by {owner}. Stop it first, or choose another folder for this one."
        )
        self.path = path
        self.pid = pid


class PortInUse(EmbeddedError):
    """The address cannot be listened on, in general because something else does."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"Cannot listen on {host}:{port} ({reason}). Stop what uses it, or choose another port.")
        self.host = host
        self.port = port
        self.reason = reason


class RequestError(EmbeddedError):
    """Answers one request: HTTP `status`, ClickHouse's error `code` and `message`, in its own words."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class EngineError(RequestError):
    """The engine refused or failed the statement."""


class StatementRefused(RequestError):
    """The statement is malformed, or does something this server does not let a client do."""

    def __init__(self, reason: str, *, code: int = 62, name: str = "SYNTAX_ERROR", status: int = 400) -> None:
        super().__init__(status, code, f"Code: {code}. DB::Exception: {reason} ({name})")


class UploadFailed(RequestError):
    """The request body is damaged, cut short or too large; nothing of it was used."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(status, 33, f"Code: 33. DB::Exception: {reason} (CANNOT_READ_ALL_DATA)")


class SpaceMissing(RequestError):
    """The disk under `folder` is full; nothing of the request body was used."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            500, 243, f"Code: 243. DB::Exception: No space left on the disk of {folder} (NOT_ENOUGH_SPACE)"
        )
        self.folder = folder


class NotAuthenticated(RequestError):
    """Wrong or missing user and password; never says which."""

    def __init__(self) -> None:
        super().__init__(
            403,
            516,
            "Code: 516. DB::Exception: Authentication failed: password is incorrect, or there is no such user "
            "(AUTHENTICATION_FAILED)",
        )


class TooManyQueries(RequestError):
    """`running` and `waiting` requests take every place; try again after `retry_after` seconds."""

    def __init__(self, running: int, waiting: int, retry_after: int = 1) -> None:
        super().__init__(
            503,
            202,
            f"Code: 202. DB::Exception: Too many simultaneous queries: {running} running, {waiting} waiting "
            "(TOO_MANY_SIMULTANEOUS_QUERIES)",
        )
        self.running = running
        self.waiting = waiting
        self.retry_after = retry_after
