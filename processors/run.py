"""Run a Faust app as a process: signals, logging, exit status."""

from __future__ import annotations

import gc
import logging
import os
import sys
from typing import Final, NoReturn

import faust
from faust.worker import Worker

_YOUNG: Final = 200_000
"""Objects after which the garbage collector looks at young ones. Batches make and drop as many as this, none of them
in cycles; with Python's own limit of 700 the collector takes most of the time that decoding takes."""


def run(app: faust.App) -> NoReturn:
    """Run until SIGTERM or SIGINT, then exit with 0; with 1 after a crash."""
    app.finalize()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)
    worker = Worker(app, loglevel="INFO", redirect_stdouts=False, override_logging=False, quiet=True)
    status = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        status = int(end.code or 0)
    # A thread may still wait for a store that is away, and an ordinary exit would wait for that thread.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
