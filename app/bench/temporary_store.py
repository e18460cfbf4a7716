"""A store of its own for a benchmark: started in an empty folder on a free port, and gone afterwards."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.local.ports import free_ports
from app.local.probes import answers_http
from app.local.supervisor import Service, Supervisor
from storage.client import StoreSettings
from storage.migrate import migrate

_STATEMENT_SECONDS: Final = 900.0


@contextmanager
def temporary_store(folder: Path | None = None) -> Iterator[StoreSettings]:
    """Start `inferwatch store` with all tables in a folder inside `folder` (or where temporary files go).

    Raises:
        ServiceFailed: the store does not start.
    """
    with tempfile.TemporaryDirectory(prefix="inferwatch-bench-", dir=folder) as made:
        (port,) = free_ports(1)
        settings = StoreSettings(url=f"http://127.0.0.1:{port}", query_seconds=_STATEMENT_SECONDS)
        environment = {
            **os.environ,
            "INFERWATCH_DATA_DIR": made,
            "INFERWATCH_HOST": "127.0.0.1",
            "INFERWATCH_STORE_PORT": str(port),
            "INFERWATCH_CLICKHOUSE_URL": settings.url,
        }
        supervisor = Supervisor(Path(made) / "logs")
        command = (sys.executable, "-m", "app.cli", "store")
        try:
            supervisor.start(Service("store", command, environment, answers_http(f"{settings.url}/ping")))
            supervisor.wait_ready("store")
            migrate(settings)
            yield settings
        finally:
            supervisor.stop_all()
