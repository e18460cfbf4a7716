"""Looks into ClickHouse and at the receiver while the demo runs: when did what become visible?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from storage.client import StoreSettings, connect, translated_errors

_PAUSE: Final = 0.1
_OVERLAP_MS: Final = 5_000


@dataclass(slots=True)
class Seen:
    """Event id to the Unix time at which it could first be queried; messages as the receiver holds them."""

    events: dict[str, float] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def alert_at(self, rule: str, since: float) -> float | None:
        """Return when the first message about a rule came after `since`, other than that it resolved."""
        for message in self.messages:
            text = message["payload"]["text"]
            if message["received_at"] >= since and f": {rule} on " in text and not text.startswith("Resolved"):
                return float(message["received_at"])
        return None


class Observer:
    """Asks again and again until it is stopped."""

    def __init__(self, store: StoreSettings, slack_page: str | None) -> None:
        self._client = connect(store)
        self._url = store.url
        self._slack_page = slack_page
        self._stopping = asyncio.Event()
        self._since_ms = 0
        self.seen = Seen()

    async def run(self) -> None:
        """Look about ten times a second until `stop`."""
        async with aiohttp.ClientSession() as session:
            while not self._stopping.is_set():
                await self.look(session)
                await asyncio.sleep(_PAUSE)
        await asyncio.to_thread(self._client.close)

    def stop(self) -> None:
        """End after the current look."""
        self._stopping.set()

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Note what is new."""
        await asyncio.to_thread(self._look_into_store)
        if self._slack_page is not None:
            async with session.get(f"{self._slack_page}/messages") as response:
                self.seen.messages = (await response.json())["messages"]

    def _look_into_store(self) -> None:
        with translated_errors(self._url):
            rows = self._client.query(
                "SELECT toString(event_id), toUnixTimestamp64Milli(ingested_at) FROM inferences"
                " WHERE ingested_at >= fromUnixTimestamp64Milli({since:Int64})",
                parameters={"since": self._since_ms - _OVERLAP_MS},
            ).result_rows
        answered_at = time.time()
        for event_id, ingested_ms in rows:
            self.seen.events.setdefault(event_id, answered_at)
            self._since_ms = max(self._since_ms, int(ingested_ms))
