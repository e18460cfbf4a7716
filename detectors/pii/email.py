"""E-mail addresses: RFC 5321 lengths, and a domain that ends in letters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detectors.pii.recogniser import Signs
from detectors.pii.spans import EntityType, Span

_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{1,59})(?![\w-])", re.IGNORECASE
)
_OPENERS = "'`{|/=#!?*&^%$~.-"
# `icon@2x.png` is a file for dense screens, not a mailbox.
_FILES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "ico"})


class EmailRecogniser:
    """Finds e-mail addresses from their at-signs outwards."""

    entity_types: frozenset[EntityType] = frozenset({"EMAIL_ADDRESS"})
    needs_digit = False
    shortest = 6

    def signs(self) -> Signs:
        """An at-sign between what addresses may have there, up to two letters after a dot."""
        return Signs(
            coarse=(r"[\w!#$%&'*+/=?^`{|}~\x80-\xff\-]@[0-9A-Za-z\x80-\xff][\w.\x80-\xff\-]*\.[A-Za-z\x80-\xff]{2}",)
        )

    def possible(self, text: str) -> bool:
        """Whether there is an at-sign."""
        return "@" in text

    def find(self, text: str) -> Iterator[Span]:
        """Addresses; quotes, slashes and the like around them are left out."""
        sign = text.find("@")
        while sign != -1:
            span = self._around(text, sign)
            if span is not None:
                yield span
            sign = text.find("@", sign + 1)

    def _around(self, text: str, sign: int) -> Span | None:
        domain = _DOMAIN.match(text, sign + 1)
        if domain is None or domain.group().rsplit(".", 1)[1].lower() in _FILES:
            return None
        reach = max(0, sign - 64)
        local = _LOCAL.search(text[reach:sign])
        if local is None or text[sign - 1] == ".":
            return None
        name = re.split(r"[/=]", local.group())[-1].lstrip(_OPENERS)
        # `git@host.example:path` is where a repository is, not who reads mail.
        if not name or (name == "git" and text[domain.end() : domain.end() + 1] == ":"):
            return None
        return Span("EMAIL_ADDRESS", sign - len(name), domain.end(), 1.0)
