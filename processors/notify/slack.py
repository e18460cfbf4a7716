"""Slack's incoming webhooks."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import ClientError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from processors.errors import NotDelivered


class Notifier(Protocol):
    """Tells people. Raises `NotDelivered`."""

    async def send(self, payload: dict[str, Any]) -> None:
        """Deliver one message."""
        ...


class SlackWebhook:
    """Posts Block Kit messages to an incoming webhook's URL, which is a secret and is never shown."""

    def __init__(self, url: str, seconds: int = 10) -> None:
        self._client = AsyncWebhookClient(url, timeout=seconds)

    async def send(self, payload: dict[str, Any]) -> None:
        """Post one message."""
        try:
            response = await self._client.send_dict(payload)
        except (TimeoutError, ClientError, OSError) as error:
            raise NotDelivered(type(error).__name__, 1.0, final=False) from error
        if response.status_code == 200:
            return
        asked = str(response.headers.get("Retry-After", ""))
        # A proxy may give a date instead.
        wait = float(asked) if asked.isdecimal() else 1.0
        passing = response.status_code == 429 or response.status_code >= 500
        raise NotDelivered(f"HTTP {response.status_code} {response.body[:100]}", wait, final=not passing)
