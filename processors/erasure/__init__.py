"""Erasing a person, a conversation or one event from topics and store, and showing that nothing is left."""

from __future__ import annotations

from processors.erasure.report import ErasureReport
from processors.erasure.run import EraseSettings, Erasure

__all__ = ["EraseSettings", "Erasure", "ErasureReport"]
