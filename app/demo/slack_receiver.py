"""A stand-in for Slack's incoming webhooks: checks what it is sent, answers as Slack does, shows it on a page."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from app.demo.slack_checks import problems
from app.demo.slack_page import page

_KEPT: Final = 500
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was taken, and when, in Unix seconds."""

    received_at: float
    payload: dict[str, Any]


class Receiver:
    """Keeps the last 500 messages in memory."""

    def __init__(self) -> None:
        self._messages: deque[Received] = deque(maxlen=_KEPT)
        self._refused: deque[list[str]] = deque(maxlen=_KEPT)

    def application(self) -> web.Application:
        """Return the routes: the webhook, the page, the messages as JSON."""
        application = web.Application(client_max_size=_MOST_BYTES)
        application.router.add_post("/services/{team}/{channel}/{token}", self._webhook)
        application.router.add_get("/", self._page)
        application.router.add_get("/messages", self._list)
        application.router.add_get("/healthz", self._healthz)
        return application

    async def _webhook(self, request: web.Request) -> web.Response:
        try:
            payload = json.loads(await request.read())
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        found = problems(payload)
        if found:
            self._refused.append(found)
            return web.Response(status=400, text="invalid_blocks: " + "; ".join(found))
        self._messages.append(Received(time.time(), payload))
        return web.Response(text="ok")

    async def _page(self, _request: web.Request) -> web.Response:
        messages = [(message.received_at, message.payload) for message in reversed(self._messages)]
        return web.Response(text=page(messages), content_type="text/html")

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "messages": [{"received_at": m.received_at, "payload": m.payload} for m in self._messages],
                "refused": list(self._refused),
            }
        )

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")


def serve(host: str, port: int) -> None:
    """Receive messages until SIGTERM or SIGINT. Raises `OSError` when the port is taken."""
    web.run_app(Receiver().application(), host=host, port=port, print=None, access_log=None, shutdown_timeout=1.0)
