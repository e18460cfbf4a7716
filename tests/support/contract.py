"""A server that speaks ClickHouse's protocol, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from storage.client import StoreSettings


@dataclass(frozen=True)
class Server:
    """One that answers at `url`."""

    url: str
    user: str = "default"
    password: str = ""

    def options(self) -> dict[str, Any]:
        """Arguments of `clickhouse_connect.get_client`."""
        parts = urlsplit(self.url)
        return {
            "interface": parts.scheme,
            "host": parts.hostname,
            "port": parts.port or 8123,
            "username": self.user,
            "password": self.password,
            "autogenerate_session_id": False,
            "tz_mode": "aware",
        }

    def client(self, **more: Any) -> Client:
        """A client of its own."""
        return clickhouse_connect.get_client(**{**self.options(), **more})

    def settings(self, database: str) -> StoreSettings:
        """The same server as the platform is told of it."""
        return StoreSettings(url=self.url, database=database, user=self.user, password=self.password)
