"""What a process does with its mirrors: delivers what they hold when it ends, begins anew in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Final, Protocol

MARGIN: Final = 1.0
"""Seconds beyond its `flush_timeout` that a mirror has to end."""


class Endable(Protocol):
    """A mirror, as a process sees it."""

    @property
    def flush_timeout(self) -> float:
        """Seconds that it may take to deliver what it holds."""
        ...

    def begin_to_end(self) -> None:
        """Begin to deliver what is held, without waiting."""
        ...

    def end(self, seconds: float) -> bool:
        """Deliver what is held, for at most so many seconds; returns whether all that was found was taken."""
        ...

    def begin_anew(self) -> None:
        """Forget what belongs to the parent process."""
        ...


_known: Final[weakref.WeakSet[Endable]] = weakref.WeakSet()
_running: Final[set[Endable]] = set()
"""Those with a thread: what they hold is delivered at exit, also where nobody refers to them any more."""
_ends_with_worker = False


def know(mirror: Endable) -> None:
    """Let a mirror begin anew in forked children."""
    _known.add(mirror)


def started(mirror: Endable) -> None:
    """End a mirror when the process does."""
    _running.add(mirror)
    _end_with_worker()


def ended(mirror: Endable) -> None:
    """Take back what `started` said."""
    _running.discard(mirror)


def _end_all() -> None:
    """End all at the same time, so that many wait no longer than the slowest of them alone."""
    running = list(_running)
    for mirror in running:
        mirror.begin_to_end()
    deadline = time.monotonic() + max([mirror.flush_timeout for mirror in running], default=0.0) + MARGIN
    for mirror in running:
        mirror.end(max(0.0, deadline - time.monotonic()))


def _end_with_worker() -> None:
    """Do at the end of a worker of `multiprocessing` what is done at exit: a forked one ends without `atexit`."""
    global _ends_with_worker
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if _ends_with_worker or process is None or util is None or process.parent_process() is None:
        return
    _ends_with_worker = True
    util.Finalize(None, _end_all, exitpriority=0)


def _begin_anew() -> None:
    global _ends_with_worker
    _ends_with_worker = False
    _running.clear()
    for mirror in list(_known):
        mirror.begin_anew()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
