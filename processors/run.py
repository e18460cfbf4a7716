"""Run a Faust app as a process: signals, logging, exit status."""

from __future__ import annotations

import faust
from faust.worker import Worker


def run(app: faust.App) -> int:
    """Run until SIGTERM or SIGINT; return the exit status: 0 after a signal, 1 after a crash."""
    app.finalize()
    worker = Worker(app, loglevel="INFO", redirect_stdouts=False, override_logging=False, quiet=True)
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
