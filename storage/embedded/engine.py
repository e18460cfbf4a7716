"""The ClickHouse engine in this process (chdb).

Each request gets a connection of its own: opening one costs a third of a millisecond, settings and the current
database are then its own, and statements on different connections run side by side. A connection that stays open
for the whole life of the server keeps the engine running.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.embedded.errors import EngineError, EngineFailed, EngineMissing, StatementRefused
from storage.embedded.http_status import http_status

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ERROR_CODE = re.compile(r"Code: (\d+)\. ")


@dataclass(frozen=True)
class Session:
    """What a statement runs with: current database, settings, and bound parameters by their bare names."""

    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """What the engine says it did."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_seconds: float = 0.0


class Engine:
    """The engine over one folder; every method may be called from several threads at once.

    Raises
    ------
    EngineMissing
        chdb is not installed.
    EngineFailed
        The folder cannot be opened.
    """

    def __init__(self, path: Path, defaults: Mapping[str, str]) -> None:
        try:
            from chdb.state import connect
        except ImportError as error:
            raise EngineMissing from error
        self._connect: Callable[[str], Any] = connect
        self._address = str(path.resolve())
        if "?" in self._address:
            raise EngineFailed(path, "a question mark in the path would be read as settings")
        self._defaults = dict(defaults)
        self._busy = 0
        self._busy_changed = threading.Condition()
        try:
            self._keeper = connect(self._address)
        except RuntimeError as error:
            raise EngineFailed(path, str(error)) from error
        version, timezone = self._keeper.query("SELECT version(), timezone()", "TabSeparated").bytes().split()
        self.version: str = version.decode()
        self.timezone: str = timezone.decode()

    def query(self, sql: str, format_name: str, session: Session) -> tuple[bytes, Progress]:
        """Run any statement without data; returns its whole result in `format_name` (a FORMAT in `sql` wins)."""
        with self._session(session) as connection:
            result = connection.query(sql, format_name)
            progress = Progress(result.rows_read(), result.bytes_read(), elapsed_seconds=result.elapsed())
            return result.bytes() or b"", progress

    def stream(self, sql: str, format_name: str, session: Session) -> Generator[bytes, None, None]:
        """Run a SELECT; yields its result block by block. Closing the generator cancels the query."""
        with self._session(session) as connection, connection.send_query(sql, format_name) as blocks:
            for block in blocks:
                yield block.bytes()

    def insert(self, head: str, format_name: str, session: Session, data: Iterable[bytes]) -> Progress:
        """Run `INSERT INTO … (…)` with `data`, in pieces of any size.

        The engine reads statement and data through different doors. Data that it cannot parse inserts nothing, as
        long as all of it fits into one block (see the server's default settings).
        """
        with self._session(session) as connection:
            inserter = connection.send_insert(head, format_name)
            with inserter:
                for piece in data:
                    inserter.append(piece)
                result = inserter.finish()
            return Progress(
                written_rows=result.rows_written, written_bytes=result.bytes_written, elapsed_seconds=result.elapsed
            )

    @property
    def busy(self) -> int:
        """Statements that run now."""
        return self._busy

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing runs, at most so long; tells whether nothing does."""
        with self._busy_changed:
            return self._busy_changed.wait_for(lambda: self._busy == 0, seconds)

    def cancel_all(self) -> None:
        """Ask every running statement to stop; they fail with code 394."""
        with self._session(Session("default", {}, {})) as connection:
            connection.query("KILL QUERY WHERE query_id != queryID() ASYNC", "Null")

    def cancel(self, mark: str) -> None:
        """Ask the statements that run with the setting `log_comment = mark` to stop; they fail with code 394."""
        with self._session(Session("default", {}, {})) as connection:
            connection.query(f"KILL QUERY WHERE Settings['log_comment'] = {_quoted(mark, chr(39))} ASYNC", "Null")

    def close(self) -> None:
        """Close the engine. No statement may be running."""
        self._keeper.close()

    @contextmanager
    def _session(self, session: Session) -> Iterator[Any]:
        self._count(1)
        try:
            connection = self._connect(self._address)
            try:
                connection.query(_set_statement(self._defaults, session), "Null")
                # After the settings, so that a database that does not exist is the client's own error.
                connection.query(f"USE {_quoted(session.database, '`')}", "Null")
                yield connection
            finally:
                connection.close()
        except RuntimeError as error:
            raise self._engine_error(error) from error
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._busy_changed:
            self._busy += change
            self._busy_changed.notify_all()

    def _engine_error(self, error: RuntimeError) -> EngineError:
        text = str(error)
        match = _ERROR_CODE.search(text)
        code = int(match[1]) if match else 1002
        message = text[match.start() :].strip() if match else f"Code: {code}. DB::Exception: {text}"
        if "(version " not in message:
            message += f" (version {self.version})"
        return EngineError(http_status(code), code, message)


def _set_statement(defaults: Mapping[str, str], session: Session) -> str:
    settings = {**defaults, **session.settings, **{f"param_{k}": v for k, v in session.parameters.items()}}
    for name in settings:
        if not _SETTING_NAME.fullmatch(name):
            raise StatementRefused(f"{name!r} is not the name of a setting", code=115, name="UNKNOWN_SETTING")
    return "SET " + ", ".join(f"{name} = {_quoted(value, chr(39))}" for name, value in settings.items())


def _quoted(text: str, quote: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return f"{quote}{escaped}{quote}"
