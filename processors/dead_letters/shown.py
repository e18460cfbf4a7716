"""Payloads on a screen: personal data masked, nothing that a terminal would obey, no more than asked for.

Whatever is shown may be pasted into a chat, so a value is masked before anything is cut: half of one is not recognised.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from detectors.protocols import PiiScanner

_WHOLE_BYTES: Final = 1 << 20
"""A payload up to this size is read as JSON; of a larger one, and of anything else, only a piece is looked at."""

_LONGEST_VALUE: Final = 8_192
_USER: Final = "<USER>"
_USER_FIELD: Final = re.compile(r'("user"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]]+)')
_ESCAPED: Final = re.compile(r"\\u00([2-7][0-9a-fA-F])")


def masked(value: bytes, scanner: PiiScanner, most: int) -> str:
    """Return up to `most` characters of a payload, with personal data and the user's id replaced."""
    text = _masked_document(value, scanner)
    if text is not None:
        return printable(text[:most])
    text = value[: 4 * (most + _LONGEST_VALUE)].decode("utf-8", "backslashreplace")
    # A value may be written with escapes, which no recogniser sees through.
    text = _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)
    text = _USER_FIELD.sub(lambda found: f'{found.group(1)}"{_USER}"', text[: most + _LONGEST_VALUE])
    return printable(_masked_text(text, scanner, most)[:most])


def unmasked(value: bytes, most: int) -> str:
    """Return up to `most` characters of a payload as it is."""
    return printable(value[: 4 * most].decode("utf-8", "backslashreplace")[:most])


def printable(text: str) -> str:
    """Return text in which whatever is no visible character is an escape: a payload must not steer a terminal."""
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _masked_text(text: str, scanner: PiiScanner, most: int) -> str:
    """Mask what begins within the first `most` characters; `text` is longer, so that values there are whole."""
    parts: list[str] = []
    place = 0
    for span in scanner.scan(text):
        if span.start >= most:
            break
        parts += (text[place : span.start], f"<{span.entity_type}>")
        place = span.end
    return "".join((*parts, text[place : max(place, most)]))


def _deep(value: Any, scanner: PiiScanner) -> Any:
    if isinstance(value, str):
        return _masked_text(value, scanner, len(value))
    if isinstance(value, list):
        return [_deep(item, scanner) for item in value]
    if isinstance(value, dict):
        return {
            _deep(name, scanner): _USER if name == "user" and item else _deep(item, scanner)
            for name, item in value.items()
        }
    return value


def _masked_document(value: bytes, scanner: PiiScanner) -> str | None:
    """Return JSON with everything in it masked; None where it is none, too large or too deep."""
    if len(value) > _WHOLE_BYTES:
        return None
    try:
        text = json.dumps(_deep(json.loads(value), scanner), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    # Once more as a whole: a number, too, may be that of a card.
    return _masked_text(text, scanner, len(text))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
