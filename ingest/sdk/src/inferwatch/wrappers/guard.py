"""What is ours may fail; the application's call goes on. Failures are counted, and each kind is logged once."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

log: Final = logging.getLogger("inferwatch")

P = ParamSpec("P")
T = TypeVar("T")

_counts: Final[Counter[str]] = Counter()
# Re-entrant: the garbage collector may run in here and end a stream that was abandoned, which comes back.
_lock = threading.RLock()


def _begin_anew() -> None:
    global _lock
    # In a forked child: the parent's may be held for ever.
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def guarded(hook: Callable[P, T]) -> Callable[P, T | None]:
    """Return a function that gives None where `hook` raises; what ends programs (`KeyboardInterrupt`) passes."""

    @functools.wraps(hook)
    def call(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return hook(*args, **kwargs)
        except Exception as error:
            _count(f"{hook.__qualname__}: {type(error).__name__}")
            return None

    return call


def faults() -> dict[str, int]:
    """Return how often a part of the wrappers failed in this process, by where and with what."""
    with _lock:
        return dict(_counts)


def _count(kind: str) -> None:
    with _lock:
        _counts[kind] += 1
        first = _counts[kind] == 1
    if first:
        # A log handler of the application's may fail too.
        with contextlib.suppress(Exception):
            log.warning("A wrapper failed in %s; the call goes on, more of them are only counted", kind, exc_info=True)
