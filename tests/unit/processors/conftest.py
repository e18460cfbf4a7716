"""Waiting takes no time here, and says how long it would have been."""

from __future__ import annotations

import asyncio

import pytest

from processors.enrich import parts


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two events."""
    monkeypatch.setattr(parts, "PART_EVENTS", 2)
    monkeypatch.setattr(parts, "CHUNK_BYTES", 1)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def at_once(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    return waited
