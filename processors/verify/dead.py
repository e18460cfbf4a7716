"""Where dead letters stood, as sorted numbers: millions fit, and each place counts once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.dead_letters.letter import LetterKey
from processors.verify.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class DeadPlaces:
    """Places of one partition in ascending order: n offsets and n line numbers."""

    offsets: NDArray[np.uint64]
    lines: NDArray[np.uint64]

    def sums(self, first: int, end: int, prefix: int) -> tuple[int, int]:
        """Return how many there are from `first` up to and without `end`, and their fingerprint."""
        part = self._slice(first, end)
        return len(self.offsets[part]), fingerprint(prefix, self.offsets[part], self.lines[part])

    def places(self, first: int, end: int) -> set[tuple[int, int]]:
        """Return the (offset, line) of those from `first` up to and without `end`."""
        part = self._slice(first, end)
        return set(zip(self.offsets[part].tolist(), self.lines[part].tolist(), strict=True))

    def _slice(self, first: int, end: int) -> slice:
        low, high = np.searchsorted(self.offsets, np.array([first, end], np.uint64))
        return slice(int(low), int(high))


class DeadCollector:
    """Collects the places of one topic."""

    def __init__(self, topic: str, topic_id: str) -> None:
        """Take those whose topic has this name and, where they say it, this id."""
        self._topic = topic
        self._topic_id = topic_id
        self._offsets: dict[int, array[int]] = {}
        self._lines: dict[int, array[int]] = {}

    def add(self, key: LetterKey) -> None:
        """Take a dead letter's place, if it is one of the topic."""
        if key.topic != self._topic or key.topic_id not in ("", self._topic_id):
            return
        self._offsets.setdefault(key.partition, array("Q")).append(key.offset)
        self._lines.setdefault(key.partition, array("Q")).append(max(key.index, 0))

    def collected(self, partition: int) -> DeadPlaces:
        """Return the places of a partition, each once."""
        offsets = np.array(self._offsets.get(partition, array("Q")), np.uint64)
        lines = np.array(self._lines.get(partition, array("Q")), np.uint64)
        order = np.lexsort((lines, offsets))
        offsets, lines = offsets[order], lines[order]
        new = np.ones(len(offsets), np.bool_)
        new[1:] = (offsets[1:] != offsets[:-1]) | (lines[1:] != lines[:-1])
        return DeadPlaces(offsets[new], lines[new])
