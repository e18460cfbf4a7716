"""The file with API keys: JSON, readable by its owner only, replaced as a whole."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ingest.api_keys.key import ApiKey, digest, new_secret
from ingest.errors import KeyFileError, UnknownKey


def load(path: Path) -> tuple[ApiKey, ...]:
    """Return all keys, also those that are revoked or have expired.

    Raises:
        KeyFileError: there is no such file, or it is not one of ours.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[ApiKey, ...])
    except OSError as error:
        raise KeyFileError(path, f"cannot be read: {error.strerror or error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyFileError(path, "is not what `inferwatch api-keys create` writes") from error


def create(
    path: Path, now: float, *, team: str = "", environment: str = "", note: str = "", expires_at: float | None = None
) -> tuple[ApiKey, str]:
    """Add a key to the file, which is made where there is none; return the key and its text, which is not kept.

    Raises:
        KeyFileError: the file cannot be read or written.
    """
    key_id, text = new_secret()
    key = ApiKey(
        id=key_id,
        sha256=digest(text),
        team=team,
        environment=environment,
        note=note,
        created_at=now,
        expires_at=expires_at,
    )
    with _locked(path):
        _replace(path, (*(load(path) if path.exists() else ()), key))
    return key, text


def revoke(path: Path, key_id: str, now: float) -> ApiKey:
    """Revoke a key; one that is revoked already stays as it is.

    Raises:
        KeyFileError: the file cannot be read or written.
        UnknownKey: it holds no such key.
    """
    with _locked(path):
        keys = {key.id: key for key in load(path)}
        if key_id not in keys:
            raise UnknownKey(key_id)
        if keys[key_id].revoked_at is None:
            keys[key_id] = msgspec.structs.replace(keys[key_id], revoked_at=now)
            _replace(path, tuple(keys.values()))
    return keys[key_id]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep two commands apart that would both read, change and replace the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise KeyFileError(path, f"cannot be written: {error.strerror or error}") from error


def _replace(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Whoever reads sees the old file or the new one. `mkstemp` makes it with mode 0600."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
