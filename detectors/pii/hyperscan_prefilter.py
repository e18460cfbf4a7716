"""One pass over many events for the patterns of all recognisers at once, by Hyperscan (https://www.hyperscan.io).

A small database reads every byte and finds where something may be; larger ones read only around there. Each reads many
documents in one call, for a call costs as much as reading a thousand bytes.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import hyperscan

from detectors.errors import MissingBackend
from detectors.pii import wire
from detectors.pii.recogniser import Recogniser, Signs

Match = tuple[int, int]
"""Where it ends, and the number of its pattern."""

_CHUNK: Final = 1 << 20
# How far around the end of a coarse match a fine one may reach, in bytes. Before: 48 characters of words (see
# `words_before`) and a number's 24, each of one byte in ASCII, two if escaped, at most four. Behind: the rest of a
# number, its extension and a word.
_BEFORE, _BEFORE_ESCAPED, _BEFORE_WIDE = 76, 150, 300
_BEHIND: Final = 56
# Numbers of patterns have the bits of their recognisers, and one of these.
_CLOSER, _DOUBTFUL, _HARMLESS = 1 << 16, 1 << 17, 1 << 18


class HyperscanPrefilter:
    """Keeps to `Prefilter`. May be shared by threads."""

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        """Compile the recognisers' signs, unless this process has compiled the same before.

        Raises `MissingBackend` where Hyperscan does not know the processor.
        """
        _check_processor()
        signs = {1 << bit: each.signs() for bit, each in enumerate(recognisers)}
        numeric = sum(1 << bit for bit, each in enumerate(recognisers) if each.needs_digit)
        coarse = [(pattern, bit) for bit, each in signs.items() if not _has_fine(each) for pattern in each.coarse]
        coarse.append((wire.UNUSUAL_ESCAPE, sum(signs)))
        if numeric:
            coarse.append((wire.non_ascii_digit(), numeric))
        self._closer: dict[int, _Database] = {}
        for patterns, group in _groups(signs):
            which = sum(group) | _CLOSER
            coarse += [(pattern, which) for pattern in patterns]
            self._closer[which] = _compiled(tuple(_fine(group)))
        self._coarse = _compiled(tuple(coarse))

    def suspects(self, blobs: Sequence[bytes]) -> list[int]:
        """See `Prefilter`."""
        found = [0] * len(blobs)
        first = size = 0
        for place, blob in enumerate(blobs):
            size += len(blob)
            if size >= _CHUNK:
                self._scan(blobs[first : place + 1], first, found)
                first, size = place + 1, 0
        if size:
            self._scan(blobs[first:], first, found)
        return found

    def _scan(self, blobs: Sequence[bytes], first: int, found: list[int]) -> None:
        text = b"\n".join((b"", *blobs, b""))
        matches = self._coarse.scan(text)
        if not matches:
            return
        near: dict[int, list[int]] = {which: [] for which in self._closer}
        certain: list[Match] = []
        for match in matches:
            end, which = match
            if which & _CLOSER:
                near[which].append(end)
            else:
                certain.append(match)
        for which, ends in near.items():
            if ends:
                certain += _look_around(text, ends, self._closer[which])
        # A match may take the line feed behind its document, but none goes beyond it.
        bounds = list(accumulate([len(blob) + 1 for blob in blobs], initial=1))
        for end, which in certain:
            found[first + bisect_left(bounds, end) - 1] |= which


def _has_fine(signs: Signs) -> bool:
    return bool(signs.fine or signs.doubtful)


def _groups(signs: dict[int, Signs]) -> list[tuple[set[str], dict[int, Signs]]]:
    """Recognisers, by their bits, that share coarse patterns and so look at the same places; and these patterns."""
    groups: list[tuple[set[str], dict[int, Signs]]] = []
    for bit, each in signs.items():
        if not _has_fine(each):
            continue
        patterns, group = set(each.coarse), {bit: each}
        apart = [other for other in groups if other[0].isdisjoint(patterns)]
        for shared in groups:
            if shared not in apart:
                patterns |= shared[0]
                group = shared[1] | group
        groups = [*apart, (patterns, group)]
    return groups


def _fine(group: dict[int, Signs]) -> Iterator[tuple[str, int]]:
    for bit, signs in group.items():
        yield from ((pattern, bit) for pattern in signs.fine)
        yield from ((pattern, bit | _DOUBTFUL) for pattern in signs.doubtful)
        yield from ((pattern, bit | _HARMLESS) for pattern in signs.harmless)


def _look_around(text: bytes, places: list[int], database: _Database) -> Iterator[Match]:
    """What of `database` matches around `places`, as if it had read all of `text`."""
    places.sort()
    windows = list(_windows(text, places))
    starts = list(accumulate([end - start + 1 for start, end in windows], initial=0))
    matches = database.scan(b"\n".join([text[start:end] for start, end in windows]))
    for end, which in _counting(matches):
        window = bisect_left(starts, end) - 1
        yield windows[window][0] + end - starts[window], which


def _windows(text: bytes, places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Starts and ends of what to read; what overlaps is joined, so that dense places are not read many times."""
    begun = ended = 0
    for place in places:
        start = max(0, place - _BEFORE)
        before = text[start:place]
        if not before.isascii():
            start = max(0, place - _BEFORE_WIDE)
        elif b"\\" in before:
            start = max(0, place - _BEFORE_ESCAPED)
        if start > ended:
            if ended:
                yield begun, ended
            begun = start
        begun, ended = min(begun, start), min(place + _BEHIND, len(text))
    yield begun, ended


def _counting(matches: Iterable[Match]) -> Iterator[Match]:
    """`matches` but for doubtful ones that end together with a harmless one of the same recogniser."""
    harmless: dict[int, list[int]] = {}
    doubtful = []
    for match in matches:
        end, which = match
        if which & _HARMLESS:
            harmless.setdefault(which & ~_HARMLESS, []).append(end)
        elif which & _DOUBTFUL:
            doubtful.append(match)
        else:
            yield match
    for ends in harmless.values():
        ends.sort()
    for end, which in doubtful:
        bit = which & ~_DOUBTFUL
        ends = harmless.get(bit, [])
        place = bisect_left(ends, end)
        if place == len(ends) or ends[place] > end + wire.TOGETHER:
            yield end, bit


class _Database:
    """Compiled patterns, each with a number to report, and scratch space for each thread that scans."""

    def __init__(self, patterns: Sequence[tuple[str, int]]) -> None:
        self._compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._compiled.compile(
            expressions=[pattern.encode("ascii") for pattern, _ in patterns],
            ids=[which for _, which in patterns],
        )
        self._local = threading.local()

    def scan(self, text: bytes) -> list[Match]:
        """All matches."""
        found: list[Match] = []
        try:
            scratch = self._local.scratch
        except AttributeError:
            scratch = self._local.scratch = hyperscan.Scratch(self._compiled)
        self._compiled.scan(text, match_event_handler=_on_match, context=found, scratch=scratch)
        return found


def _on_match(which: int, start: int, end: int, flags: int, found: Any) -> None:
    found.append((end, which))


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[tuple[str, int], ...]) -> _Database:
    return _Database(patterns)


def _check_processor() -> None:
    try:
        _Database((("a", 1),))
    except hyperscan.error as error:
        raise MissingBackend("hyperscan", "hyperscan", f"It does not work on this processor: {error}") from error
