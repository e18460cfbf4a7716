"""What the command line changes stands in the audit log: that it starts, before it does, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from app.cli.actor import who
from storage.errors import StorageError

if TYPE_CHECKING:
    from storage.client import StoreSettings


@contextmanager
def audited(store: StoreSettings, action: str, subject: str) -> Iterator[dict[str, Any]]:
    """Yield details to be filled in, which are recorded with the outcome.

    Raises:
        StoreUnavailable, StoreRefused: there is no log to write to; nothing was changed then.
    """
    from storage import audit

    record = partial(audit.record, store, actor=f"cli:{who()}", action=action, subject=subject)
    record(outcome="started")
    details: dict[str, Any] = {}
    try:
        yield details
    except BaseException as error:
        with suppress(StorageError):  # the first error is the one to show
            record(outcome="failed", details={"error": str(error)})
        raise
    record(outcome="done", details=details)
