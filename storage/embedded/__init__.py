"""The ClickHouse engine inside this machine, behind ClickHouse's own HTTP interface."""

from __future__ import annotations

from storage.embedded.settings import EmbeddedSettings

__all__ = ["EmbeddedSettings"]
