"""Run a Faust app as a process: signals, logging, exit status."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from typing import Final, NoReturn

import faust
from faust.worker import Worker

log: Final = logging.getLogger(__name__)

_STOP_SECONDS: Final = 4.0
"""From the signal on. Steps are done after less; leaving a consumer group whose broker is away takes minutes."""

_YOUNG: Final = 200_000
"""Objects after which the garbage collector looks at young ones. Batches make and drop as many as this, none of them
in cycles; with Python's own limit of 700 the collector takes most of the time that decoding takes."""


def run(app: faust.App) -> NoReturn:
    """Run until SIGTERM or SIGINT, then exit with 0; with 1 after a crash."""
    app.finalize()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)
    worker = _PunctualWorker(app, loglevel="INFO", redirect_stdouts=False, override_logging=False, quiet=True)
    status = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        status = int(end.code or 0)
    _exit(status)


class _PunctualWorker(Worker):
    """Ends in time also where what it waits for never comes."""

    async def stop(self) -> None:
        """Stop everything; a worker that is not through then ends as if it were killed, which costs nothing."""
        end = threading.Timer(_STOP_SECONDS, self._end)
        end.daemon = True
        end.start()
        await super().stop()

    def _end(self) -> None:
        log.warning("Not stopped within %g s; what is not acknowledged comes again", _STOP_SECONDS)
        _exit(1 if self.crashed else 0)


def _exit(status: int) -> NoReturn:
    # A thread may still wait for a store that is away, and an ordinary exit would wait for that thread.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
