"""Ends this process when Triton dies."""

from __future__ import annotations

import faulthandler
import os
import threading
import time

# How soon the process follows, in seconds.
CHECK = 0.25
# Seconds that no Python code may have run before the process counts as stuck and ends.
PATIENCE = 10.0


def tie_to_parent() -> None:
    """Starts a thread that ends the process as soon as its parent, Triton, is gone.

    The Python backend has such a watch of its own, but it waits for the answer to a question that may be on its way
    to Triton at that moment, such as whether a request was cancelled, and then waits for ever: the model would go on
    generating for nobody. Whoever asked may even wait with Python's interpreter lock in hand, which stops this thread
    too; hence the second watch, which needs no lock.
    """
    threading.Thread(target=_follow, args=(os.getppid(),), name="lifeline", daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        time.sleep(CHECK)
    os._exit(1)
