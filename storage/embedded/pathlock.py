"""One owner for one folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.embedded.errors import EngineFailed, PathInUse

LOCK_NAME = "inferwatch.lock"


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Hold `path` for this process; the kernel lets go of it however the process ends.

    Raises
    ------
    PathInUse
        Another process holds it; the error names the process.
    EngineFailed
        The folder cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineFailed(path, str(error)) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PathInUse(path, _written_pid(handle)) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _written_pid(handle: int) -> int | None:
    text = os.pread(handle, 20, 0)
    return int(text) if text.isdigit() else None
