"""The database as this version wants it: its tables, and how long they keep what is in them."""

from __future__ import annotations

from storage import retention
from storage.client import StoreSettings
from storage.migrate import migrate
from storage.retention import RetentionSettings


def bring_up_to_date(store: StoreSettings, kept: RetentionSettings) -> tuple[str, ...]:
    """Apply migrations, then retention; return what was changed, in words. Safe to repeat, and from several at once.

    Raises:
        SchemaTooNew: a later version of this code has been here.
        StoreUnavailable, StoreRefused: the store is away, or does not want to.
    """
    applied = tuple(f"applied {name}" for name in migrate(store))
    return (*applied, *retention.apply(store, kept))
