"""Settings of the embedded server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class EmbeddedSettings:
    """How one embedded server runs.

    Parameters
    ----------
    path
        Folder the engine owns; made when missing. One process has one folder, one folder one process.
    host, port
        Address of the HTTP interface; port 0 takes a free one.
    max_memory_bytes
        Limit for one statement and for all together; a statement above it fails with code 241.
    max_concurrent_queries
        Reading statements that run at once. Inserts and other writes have `max_concurrent_writes` places of their
        own, so that slow reading does not hold them up.
    max_waiting_requests
        Requests that may wait for a place; the next one is answered 503 with code 202.
    max_execution_seconds
        Default of the engine's `max_execution_time`; a client may ask for another.
    max_upload_bytes
        Largest request body after decompression.
    spool_memory_bytes
        Memory that request bodies may take while they arrive, all together; what finds no room goes to a file
        inside `path`.
    user, password
        Checked when `user` is set: HTTP Basic, or X-ClickHouse-User and X-ClickHouse-Key.
    """

    path: Path
    host: str = "127.0.0.1"
    port: int = 8123
    max_memory_bytes: int = 2048 * MIB
    max_concurrent_queries: int = 4
    max_concurrent_writes: int = 2
    max_waiting_requests: int = 64
    max_execution_seconds: int = 60
    max_upload_bytes: int = 2048 * MIB
    spool_memory_bytes: int = 256 * MIB
    user: str | None = None
    password: str = field(default="", repr=False)
