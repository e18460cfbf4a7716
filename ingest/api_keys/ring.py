"""Keys as a running service knows them: read again whenever the file was replaced."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from inferwatch.clock import Clock
from ingest.api_keys.file import load
from ingest.api_keys.key import ApiKey, id_in
from ingest.errors import KeyFileError

log: Final = logging.getLogger("inferwatch.collector")

_NOBODY: Final = ApiKey(id="", sha256="0" * 64, created_at=0.0)
"""Compared with where the id is unknown, so that both answers take the same time."""


class KeyRing:
    """Recognises keys. A file that is gone or damaged later leaves the keys as they were, and is said in the log, once.

    Raises:
        KeyFileError: when it is made, the file cannot be used.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._seen = self._told = self._version()
        self._keys = {key.id: key for key in load(path)}

    def recognise(self, text: str) -> ApiKey | None:
        """Return the key that a text is, None where it is none or may not be used any more."""
        self._read_again()
        key_id = id_in(text)
        key = _NOBODY if key_id is None else self._keys.get(key_id, _NOBODY)
        return key if key.matches(text) and key.valid(self._clock.now()) else None

    def _read_again(self) -> None:
        version = self._version()
        if version == self._seen:
            return
        try:
            self._keys = {key.id: key for key in load(self._path)}
        except KeyFileError as error:
            # It is tried at each request, for what keeps it from being read may pass without a trace on the file.
            if version != self._told:
                log.error("API keys stay as they were: %s", error)
        else:
            self._seen = version
        self._told = version

    def _version(self) -> tuple[int, int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size
