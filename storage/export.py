"""Stored conversations, masked as they are stored, for datasets."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storage.client import StoreSettings, connect, translated_errors


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """One answered inference: messages in OpenAI's chat form, and where they come from."""

    event_id: str
    started_at: dt.datetime
    messages: list[dict[str, str]]


def conversations(
    settings: StoreSettings, environment: str, model: str, since: dt.datetime, until: dt.datetime, most: int
) -> Iterator[StoredConversation]:
    """Yield the latest `most` answered inferences of a model that began in [since, until), oldest first."""
    client = connect(settings)
    try:
        with translated_errors(settings.url):
            rows = client.query(
                "SELECT * FROM ("
                "SELECT event_id, started_at, input_messages, output_messages FROM inferences"
                " WHERE environment = {environment:String} AND model = {model:String} AND status = 'ok'"
                " AND started_at >= {since:DateTime64(6, 'UTC')} AND started_at < {until:DateTime64(6, 'UTC')}"
                " AND notEmpty(input_messages) AND notEmpty(output_messages)"
                " ORDER BY started_at DESC LIMIT {most:UInt32}"
                ") ORDER BY started_at",
                parameters={"environment": environment, "model": model, "since": since, "until": until, "most": most},
            ).result_rows
    finally:
        client.close()
    for event_id, started_at, given, made in rows:
        messages = [chat_message(message) for message in (*json.loads(given), *json.loads(made))]
        yield StoredConversation(str(event_id), started_at, messages)


def chat_message(message: dict[str, Any]) -> dict[str, str]:
    """Return a stored message as `{"role", "content"}`, its text parts joined by newlines."""
    parts = (part.get("content") or "" for part in message.get("parts", ()))
    return {"role": str(message["role"]), "content": "\n".join(part for part in parts if part)}
