"""Messages as they are stored: a JSON list in the shape of `inferwatch.events.Message`."""

from __future__ import annotations

import msgspec

from inferwatch.events import Message, text_message


def parsed(stored: str) -> tuple[Message, ...]:
    """Return the messages; text in any other shape comes back whole, as one message of the role `unknown`."""
    if not stored:
        return ()
    try:
        return msgspec.json.decode(stored, type=tuple[Message, ...])
    except msgspec.MsgspecError:
        return (text_message("unknown", stored),)
