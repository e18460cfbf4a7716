"""How much all exchanges that are under way may keep together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PIECE_BYTES: Final = 128
"""What a piece costs beside its bytes: a body that comes in tiny pieces is mostly that."""
MOST_PIECES: Final = 65_536
"""Pieces kept of one request or one response, whatever their size."""


class Budget:
    """Bytes to share. Belongs to the event loop."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> bool:
        """Take bytes, all of them or none; return whether there were enough."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Return what was taken."""
        self._left += size


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much is kept: `most` bytes of each request and of each response, of all of them what `budget` has."""

    most: int
    budget: Budget
