"""Headers that are for the sidecar alone, taken out of requests where settings say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ingest.sidecar.framing import BodyPart, End, Item, Opaque
from ingest.sidecar.http_head import Head

OURS: Final = "x-inferwatch-"
_OURS_BYTES: Final = OURS.encode()


def without_ours(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return headers but for ours; names are in lower case."""
    return tuple([header for header in headers if not header[0].startswith(OURS)])


class HeadFilter:
    """Takes our lines out of the heads of HTTP/1 requests; a head is held until it is complete."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._in_head = True

    def pass_on(self, data: bytes, items: Iterable[Item]) -> list[bytes]:
        """Return what upstream gets of `data`, in which a framer found `items`."""
        pieces: list[bytes] = []
        done = 0
        for item in items:
            match item:
                case Head(end=end):
                    pieces.append(_without_our_lines(bytes(self._held) + data[done:end]))
                    self._held, self._in_head, done = bytearray(), False, end
                case BodyPart(end=end):
                    pieces.append(data[done:end])
                    done = end
                case End(end=end):
                    pieces.append(data[done:end])
                    self._in_head, done = True, end
                case Opaque():
                    pieces += self.release()
                    self._in_head = False
        if self._in_head:
            if not self._held:
                # Blank lines before a head are no part of it: nobody else bounds how many there are.
                begins = len(data) - len(data[done:].lstrip(b"\r\n"))
                pieces.append(data[done:begins])
                done = begins
            self._held += data[done:]
        else:
            pieces.append(data[done:])
        return [piece for piece in pieces if piece]

    def release(self) -> list[bytes]:
        """Return what was held back."""
        held, self._held = bytes(self._held), bytearray()
        return [held] if held else []


def _without_our_lines(head: bytes) -> bytes:
    first, *lines = head.split(b"\n")
    kept, dropping = [first], False
    for line in lines:
        # A line that begins with white space goes on with the one before it (RFC 9112, section 5.2).
        dropping = dropping if line[:1] in (b" ", b"\t") else line.lower().startswith(_OURS_BYTES)
        if not dropping:
            kept.append(line)
    return b"\n".join(kept)
